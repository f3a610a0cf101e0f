"""Key material as bytes: made and read back for every spec, told apart by its form, wiped."""

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from kms_runtime.cli.key_material import material, wrapping

RSA = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize("spec", material.KEY_SPECS)
def test_every_spec_has_material_that_is_generated_and_read_back(spec):
    made = material.generate(spec)

    assert material.normalized(made, spec) == made
    assert wrapping.algorithms_for(spec)[0] == wrapping.choose(spec, None)


def test_spec_whose_material_is_not_known_is_refused():
    with pytest.raises(material.KeyMaterialInvalid, match="key spec ML_DSA_65"):
        material.generate("ML_DSA_65")


def test_buffer_is_wiped_though_the_import_fails():
    buffer = bytearray(b"secret")

    with pytest.raises(ZeroDivisionError), material.wiped(buffer):
        _ = 1 / 0

    assert buffer == bytes(6)


def test_pem_is_told_by_its_first_line():
    pem = bytearray(RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))

    assert load_pem_private_key(pem, None)
    assert material.normalized(bytearray(b"\n") + pem, "RSA_2048") == RSA.private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )
