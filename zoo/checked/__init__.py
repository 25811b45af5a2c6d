"""What came in a file, checked before anything is made of it: text, tensors, and the model that a config describes (A7, A8).

Whatever such a file holds, it is answered within seconds and without much memory: by what it describes, or by a ZooError
that names the file and the fault.
"""
