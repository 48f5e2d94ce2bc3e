"""Do golden samples prove that the file was read rightly?"""
