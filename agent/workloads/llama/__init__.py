"""A GGUF file in llama.cpp, by the Python binding or by the program llama-bench."""
