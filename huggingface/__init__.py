"""A Hugging Face causal language model with named places, and a transcoder in one of its layers."""
