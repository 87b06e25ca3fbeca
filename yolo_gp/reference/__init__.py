"""The reference of sections and keys, made from the code that reads them."""
