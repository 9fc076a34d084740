#!/bin/sh
# uadk_provider of uadk_engine: one case, its results checked against OpenSSL's own provider in a process without devices.
# The provider may not use software (enable_sw_offload = 0), so what it answers comes from the device.
# Usage: provider.sh FILE CASE (in an empty directory, on devices), or provider.sh --list v2|v3
set -eu

on_both="digest-md5 digest-sm3 digest-sha1 digest-sha224 digest-sha256 digest-sha384 digest-sha512 hmac-sha256
cipher-aes-128-cbc cipher-aes-192-cbc cipher-aes-256-cbc cipher-aes-128-ecb cipher-aes-256-ecb cipher-sm4-cbc
cipher-sm4-ecb cipher-des-ede3-cbc cipher-des-ede3-ecb xts-aes-128-xts xts-aes-256-xts rsa-1024 rsa-2048 rsa-3072 rsa-4096
rsa-pss rsa-oaep rsa-keygen dh-2048 dh-keygen tls1_2-rsa tls1_3-rsa"
on_v3="cipher-aes-128-ctr cipher-aes-256-ctr cipher-aes-128-ofb cipher-aes-128-cfb cipher-aes-256-cfb cipher-sm4-ofb cipher-sm4-cfb
cipher-sm4-ctr gcm-aes-128-gcm gcm-aes-256-gcm ecdsa-P-256 ecdsa-P-384 ecdsa-P-521 ecdh-P-256 ecdh-P-384 ecdh-P-521 x25519
x448 sm2-sign sm2-encrypt ec-keygen tls1_2-ecdsa tls1_3-ecdsa tls1_3-x25519"

if [ "$1" = --list ]; then
    names=$on_both
    [ "$2" = v2 ] || names="$names $on_v3"
    printf '%s\n' $names
    exit
fi
module=$1
case=$2
here=$(pwd)
cat >config <<END
openssl_conf = all
[all]
providers = providers
alg_section = preference
[preference]
default_properties = ?provider=uadk_provider
[providers]
uadk_provider = uadk
default = default
[uadk]
module = $module
activate = 1
enable_sw_offload = 0
[default]
activate = 1
END

# openssl on the device, and as it is.
on_device="env OPENSSL_CONF=$here/config openssl"
on_nothing="env -u LD_PRELOAD -u OPENSSL_CONF openssl"
device() { $on_device "$@"; }
plain() { $on_nothing "$@"; }
fail() {
    echo "$*"
    exit 1
}

head -c 70000 /dev/zero | plain enc -aes-128-ctr -K 00112233445566778899aabbccddeeff -iv 00 -out data 2>/dev/null
name=${case#*-}
key=00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0
iv=0123456789abcdef0123456789abcdef

sign_and_verify() { # DIGEST OPTIONS… with key.pem
    digest=$1
    shift
    plain pkey -in key.pem -pubout -out public.pem
    device dgst "$digest" -sign key.pem "$@" -out signature data || fail "signing failed"
    plain dgst "$digest" -verify public.pem "$@" -signature signature data || fail "the signature is wrong"
    plain dgst "$digest" -sign key.pem "$@" -out signature data
    device dgst "$digest" -verify public.pem "$@" -signature signature data || fail "a good signature is refused"
    plain dgst "$digest" -sign key.pem "$@" -out signature data
    echo more >>data
    if device dgst "$digest" -verify public.pem "$@" -signature signature data; then fail "a bad signature is accepted"; fi
}

derive() { # with ours.pem and theirs.pem
    plain pkey -in theirs.pem -pubout -out public.pem
    device pkeyutl -derive -inkey ours.pem -peerkey public.pem -out secret || fail "derivation failed"
    plain pkeyutl -derive -inkey ours.pem -peerkey public.pem -out expected
    cmp secret expected || fail "the shared secret is wrong"
}

handshake() { # VERSION GROUPS with key.pem; the server on the device, then the client
    plain req -x509 -new -key key.pem -subj /CN=localhost -days 2 -out certificate.pem
    for side in on_device on_nothing; do
        rm -f served asked answered
        mkfifo served asked answered
        exec 4<>served 5<>asked 6<>answered
        if [ $side = on_device ]; then
            serve=$on_device connect=$on_nothing
        else
            serve=$on_nothing connect=$on_device
        fi
        port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 20000))
        $serve s_server -accept $port -key key.pem -cert certificate.pem "-$1" -groups "$2" -naccept 1 -rev >served 2>server &
        server=$!
        timeout 50 grep -qm1 ACCEPT <&4 || fail "the server does not start, $side: $(tail -n 1 server)"
        $connect s_client -connect localhost:$port "-$1" -groups "$2" -CAfile certificate.pem -verify_return_error -quiet \
            <asked >answered 2>client &
        client=$!
        echo ereh >&5
        timeout 50 grep -qm1 here <&6 || fail "no handshake, server $side: $(tail -n 1 server) $(tail -n 1 client)"
        kill $client $server 2>/dev/null || true
        wait $client $server 2>/dev/null || true
    done
}

case $case in
digest-*)
    device dgst "-$name" -binary -out got data || fail "failed"
    plain dgst "-$name" -binary -out expected data
    cmp got expected || fail "the digest is wrong"
    ;;
hmac-*)
    device dgst "-$name" -mac HMAC -macopt hexkey:$key -binary -out got data || fail "failed"
    plain dgst "-$name" -mac HMAC -macopt hexkey:$key -binary -out expected data
    cmp got expected || fail "the HMAC is wrong"
    ;;
cipher-* | xts-*)
    bytes=16
    case $name in
    aes-128-xts | aes-256-* | des-*) bytes=32 ;;
    aes-192-*) bytes=24 ;;
    esac
    case $name in
    aes-256-xts) key=$key$iv$iv ;;
    des-*) bytes=24 ;;
    esac
    [ "$name" = aes-256-xts ] || key=$(printf %s "$key" | cut -c "1-$((bytes * 2))")
    vector="-iv $iv"
    case $name in
    *-ecb) vector= ;;
    des-*) vector="-iv 0123456789abcdef" ;;
    esac
    if [ "${case%%-*}" = xts ]; then
        # openssl enc refuses XTS: a program of a few lines.
        "$CIPHER" "$name" "$key" "$iv" <data >expected
        OPENSSL_CONF=$here/config "$CIPHER" "$name" "$key" "$iv" <data >got || fail "failed"
        cmp got expected || fail "the ciphertext is wrong"
        exit 0
    fi
    device enc "-$name" -K "$key" $vector -in data -out got || fail "encryption failed"
    plain enc "-$name" -K "$key" $vector -in data -out expected
    cmp got expected || fail "the ciphertext is wrong"
    device enc -d "-$name" -K "$key" $vector -in got -out back || fail "decryption failed"
    cmp back data || fail "the plaintext is wrong"
    ;;
gcm-*)
    bytes=16
    [ "$name" = aes-128-gcm ] || bytes=32
    key=$(printf %s "$key" | cut -c "1-$((bytes * 2))")
    "$CIPHER" "$name" "$key" 0123456789abcdef01234567 <data >expected
    OPENSSL_CONF=$here/config "$CIPHER" "$name" "$key" 0123456789abcdef01234567 <data >got || fail "failed"
    cmp got expected || fail "ciphertext or tag is wrong"
    ;;
rsa-keygen)
    device genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem || fail "no key"
    plain rsa -in key.pem -check -noout || fail "the key is wrong"
    ;;
rsa-pss)
    plain genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem 2>/dev/null
    sign_and_verify -sha256 -sigopt rsa_padding_mode:pss
    ;;
rsa-oaep)
    plain genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem 2>/dev/null
    plain pkey -in key.pem -pubout -out public.pem
    head -c 100 data >short
    device pkeyutl -encrypt -pubin -inkey public.pem -pkeyopt rsa_padding_mode:oaep -in short -out got || fail "encryption failed"
    plain pkeyutl -decrypt -inkey key.pem -pkeyopt rsa_padding_mode:oaep -in got -out back
    cmp short back || fail "the ciphertext is wrong"
    plain pkeyutl -encrypt -pubin -inkey public.pem -pkeyopt rsa_padding_mode:oaep -in short -out got
    device pkeyutl -decrypt -inkey key.pem -pkeyopt rsa_padding_mode:oaep -in got -out back || fail "decryption failed"
    cmp short back || fail "the plaintext is wrong"
    ;;
rsa-*)
    plain genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:$name" -out key.pem 2>/dev/null
    sign_and_verify -sha256
    ;;
dh-keygen)
    device genpkey -algorithm DH -pkeyopt group:ffdhe2048 -out ours.pem || fail "no key"
    plain genpkey -algorithm DH -pkeyopt group:ffdhe2048 -out theirs.pem
    plain pkey -in ours.pem -check -noout || fail "the key is wrong"
    derive
    ;;
dh-*)
    for key in ours theirs; do plain genpkey -algorithm DH -pkeyopt "group:ffdhe$name" -out $key.pem; done
    derive
    ;;
ecdsa-*)
    plain genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$name" -out key.pem
    sign_and_verify -sha256
    ;;
ecdh-*)
    for key in ours theirs; do plain genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$name" -out $key.pem; done
    derive
    ;;
ec-keygen)
    device genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem || fail "no key"
    plain pkey -in key.pem -check -noout || fail "the key is wrong"
    ;;
x25519 | x448)
    plain genpkey -algorithm "$case" -out theirs.pem
    device genpkey -algorithm "$case" -out ours.pem || fail "no key"
    derive
    ;;
sm2-sign)
    plain genpkey -algorithm SM2 -out key.pem
    sign_and_verify -sm3 -sigopt distid:1234567812345678
    ;;
sm2-encrypt)
    plain genpkey -algorithm SM2 -out key.pem
    plain pkey -in key.pem -pubout -out public.pem
    head -c 100 data >short
    device pkeyutl -encrypt -pubin -inkey public.pem -in short -out got || fail "encryption failed"
    plain pkeyutl -decrypt -inkey key.pem -in got -out back || fail "the ciphertext is wrong"
    cmp short back || fail "the ciphertext is wrong"
    plain pkeyutl -encrypt -pubin -inkey public.pem -in short -out got
    device pkeyutl -decrypt -inkey key.pem -in got -out back || fail "decryption failed"
    cmp short back || fail "the plaintext is wrong"
    ;;
tls*-rsa)
    plain genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem 2>/dev/null
    handshake "${case%-*}" P-256
    ;;
tls*-ecdsa)
    plain genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem
    handshake "${case%-*}" P-256
    ;;
tls*-x25519)
    plain genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem
    handshake "${case%-*}" X25519
    ;;
*) fail "no such case" ;;
esac
