"""Training a transcoder on a layer of a Hugging Face model."""
