"""Other libraries' engines of training, one room each; each is an extra and is imported where it is used."""
