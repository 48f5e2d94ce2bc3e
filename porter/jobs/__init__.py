"""What porter is asked to do, from files to files and reports."""
