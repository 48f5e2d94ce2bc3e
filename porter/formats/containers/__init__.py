"""Files that hold arrays by name, and say nothing of networks: MATLAB's, safetensors, pickles, text, folders."""
