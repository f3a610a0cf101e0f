"""Commands of the data plane, one module each: encrypt, decrypt, verify, inspect, import-key-material.

They need click and rich, and are not bundled into functions.

``key_material``: Key material that is made outside of AWS KMS: read or generated, wrapped, and imported into a key.
"""
