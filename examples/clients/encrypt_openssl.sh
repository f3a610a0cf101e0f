#!/bin/sh
# OpenSSL and curl: sh encrypt_openssl.sh https://…/partners.pem [SHA-256] < SECRET; prints the ciphertext in Base64.
# The second argument, if given, is the sha256 of the key's document, learnt by another channel.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
curl --fail --silent --show-error --proto '=https' --output "$folder/key" "$1"
found=$(openssl pkey -pubin -in "$folder/key" -outform DER | openssl dgst -sha256 -r | cut -d ' ' -f 1)
if [ "${2:-$found}" != "$found" ]; then
    echo "$1 is the key $found, not $2" >&2
    exit 1
fi
openssl pkeyutl -encrypt -pubin -inkey "$folder/key" -out "$folder/ciphertext" -pkeyopt rsa_padding_mode:oaep \
    -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256
openssl base64 -A -in "$folder/ciphertext"
