"""Python as a target language: its test programs, its functions in answers, and judging them."""
