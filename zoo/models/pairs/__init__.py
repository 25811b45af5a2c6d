"""Models of pairs of sequences: an encoder reads one, a decoder says the other. The history line from 2014 to 2017."""
