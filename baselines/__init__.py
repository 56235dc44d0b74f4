"""Rivals of TCPE, one module each, which registers its method (`tcpe.method.register`) under the name that --alg_name gives it."""
