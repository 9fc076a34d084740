use openssl::bn::{BigNum, BigNumContext};
use openssl::ec::{EcGroup, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::nid::Nid;

use crate::device::Hardware;
use crate::model::hpre::{DESCRIPTOR_LEN, Hpre};
use crate::model::testing::{FlatMemory, hex};
use crate::model::{Model, set_word, word};
use crate::os::client::ClientSpace;

const KEY: u64 = FlatMemory::BASE;
const IN: u64 = FlatMemory::BASE + 0x1000;
const OUT: u64 = FlatMemory::BASE + 0x2000;

/// A request of class 1 on v3 and what came of it.
struct Done {
    before: Vec<u8>,
    after: Vec<u8>,
    memory: FlatMemory,
}

impl Done {
    fn output(&self, len: usize) -> Vec<u8> {
        assert_eq!(word(&self.after, 0), word(&self.before, 0) | 3 << 30, "not done without error");
        assert_eq!(self.after[4..], self.before[4..], "the device changed more than the head");
        assert_eq!(self.memory.bytes(OUT + len as u64, 8), [0xEE; 8], "wrote past the field");
        self.memory.bytes(OUT, len)
    }

    fn verdict(&self) -> u32 {
        assert_eq!(word(&self.after, 0), word(&self.before, 0) | 3 << 30, "not done without error");
        assert_eq!((word(&self.after, 7), self.memory.bytes(OUT, 8)), (0, vec![0xEE; 8]));
        word(&self.after, 6)
    }

    /// etype, etype1.
    fn error(&self) -> (u32, u32) {
        assert_eq!(self.memory.bytes(OUT, 8), [0xEE; 8], "wrote in spite of an error");
        (word(&self.after, 0) >> 5 & 0x7FF, word(&self.after, 0) >> 16 & 0x3FFF)
    }
}

fn run(operation: u32, words: [u32; 2], key: &[u8], input: &[u8]) -> Done {
    let memory = FlatMemory::new(0x3000);
    memory.write(KEY, key).unwrap();
    memory.write(IN, input).unwrap();
    memory.write(OUT, &[0xEE; 0x800]).unwrap();
    let mut before = vec![0; DESCRIPTOR_LEN];
    set_word(&mut before, 0, operation | 1 << 30);
    set_word(&mut before, 1, words[0]);
    for (index, at) in [(2, KEY), (4, IN), (6, OUT)] {
        set_word(&mut before, index, u32::try_from(at).unwrap());
    }
    set_word(&mut before, 8, 0x1234_5678);
    set_word(&mut before, 9, 0x7F00);
    set_word(&mut before, 10, words[1]);
    let mut after = before.clone();
    Hpre::new(1, Hardware::V3, false).execute(&mut after, &memory);
    Done { before, after, memory }
}

/// Parameters of a named curve, each in a field of `width` bytes.
struct Named {
    group: EcGroup,
    width: usize,
    p: Vec<u8>,
    a: Vec<u8>,
    b: Vec<u8>,
    n: Vec<u8>,
    base: Vec<u8>,
}

impl Named {
    fn new(nid: Nid, width: usize) -> Self {
        let group = EcGroup::from_curve_name(nid).unwrap();
        let mut context = BigNumContext::new().unwrap();
        let [mut p, mut a, mut b, mut n] = [0; 4].map(|_| BigNum::new().unwrap());
        group.components_gfp(&mut p, &mut a, &mut b, &mut context).unwrap();
        group.order(&mut n, &mut context).unwrap();
        let [p, a, b, n] = [p, a, b, n].map(|number| wide(&number, width));
        let mut point = EcPoint::new(&group).unwrap();
        point.mul_generator2(&group, &BigNum::from_u32(1).unwrap(), &mut context).unwrap();
        let base = affine(&group, &point, width);
        Self { group, width, p, a, b, n, base }
    }

    fn task(&self) -> u32 {
        u32::try_from(self.width / 8 - 1).unwrap()
    }

    fn private(&self, scalar: &[u8]) -> Vec<u8> {
        [&self.p, &self.a, &wide_bytes(scalar, self.width), &self.b, &self.n, &self.base]
            .map(Vec::as_slice)
            .concat()
    }

    fn public(&self, point: &[u8]) -> Vec<u8> {
        [self.p.as_slice(), &self.a, &self.b, &self.n, &self.base, point].concat()
    }

    /// libcrypto's multiple of the generator.
    fn multiple(&self, scalar: &BigNum) -> EcPoint {
        let mut point = EcPoint::new(&self.group).unwrap();
        point.mul_generator2(&self.group, scalar, &mut BigNumContext::new().unwrap()).unwrap();
        point
    }

    fn random_scalar(&self) -> BigNum {
        let mut scalar = BigNum::new().unwrap();
        BigNum::from_slice(&self.n).unwrap().rand_range(&mut scalar).unwrap();
        scalar
    }
}

fn wide(number: &openssl::bn::BigNumRef, width: usize) -> Vec<u8> {
    number.to_vec_padded(i32::try_from(width).unwrap()).unwrap()
}

fn wide_bytes(bytes: &[u8], width: usize) -> Vec<u8> {
    [&vec![0; width - bytes.len()], bytes].concat()
}

fn affine(group: &EcGroup, point: &openssl::ec::EcPointRef, width: usize) -> Vec<u8> {
    let mut context = BigNumContext::new().unwrap();
    let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
    point.affine_coordinates(group, &mut x, &mut y, &mut context).unwrap();
    [wide(&x, width), wide(&y, width)].concat()
}

fn curves() -> Vec<Named> {
    [
        (Nid::from_raw(706), 32), // secp128r1
        (Nid::SECP192K1, 32),
        (Nid::SECP224R1, 32),
        (Nid::X9_62_PRIME256V1, 32),
        (Nid::SECP256K1, 32),
        (Nid::SM2, 32),
        (Nid::BRAINPOOL_P320R1, 48),
        (Nid::BRAINPOOL_P384R1, 48),
        (Nid::SECP384R1, 48),
        (Nid::SECP521R1, 72),
    ]
    .map(|(nid, width)| Named::new(nid, width))
    .into()
}

/// RFC 5903 §8.1, as in hpre §9.4; U and the kernel set bit 31 of word 1, which changes nothing.
#[test]
fn ecdh_on_p256_as_published() {
    let p256 = Named::new(Nid::X9_62_PRIME256V1, 32);
    let scalar = hex("C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433");
    let key = &p256.private(&scalar)[..128];
    let public = "DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180\
                  5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3";
    let peer = hex("D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63\
         56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB");
    let shared = "D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE\
                  522BDE0AF0D8585B8DEF9C183B5AE38F50235206A8674ECB5D98EDB20EB153A2";
    for word1 in [3, 0x8000_0003] {
        assert_eq!(run(0xD, [word1, 0xE], key, &p256.base).output(64), hex(public));
        assert_eq!(run(0xD, [word1, 0], key, &peer).output(64), hex(shared));
    }
}

#[test]
fn every_curve_multiplies_as_libcrypto() {
    for curve in curves() {
        let name = curve.group.curve_name();
        let (scalar, peer) = (curve.random_scalar(), curve.multiple(&curve.random_scalar()));
        let mut product = EcPoint::new(&curve.group).unwrap();
        product.mul2(&curve.group, &peer, &scalar, &mut BigNumContext::new().unwrap()).unwrap();
        let key = curve.private(&wide(&scalar, curve.width));
        let input = affine(&curve.group, &peer, curve.width);
        let expected = affine(&curve.group, &product, curve.width);
        let done = run(0xD, [curve.task(), 0], &key, &input);
        assert_eq!(done.output(2 * curve.width), expected, "{name:?}");
    }
}

/// ECDSA both ways on every curve: libcrypto verifies ours, we verify libcrypto's, and a changed one is invalid.
#[test]
fn every_curve_signs_and_verifies_with_libcrypto() {
    for curve in curves() {
        let (width, task) = (curve.width, curve.task());
        let (secret, k) = (curve.random_scalar(), curve.random_scalar());
        let public = curve.multiple(&secret);
        let key = openssl::ec::EcKey::from_private_components(&curve.group, &secret, &public).unwrap();
        let bits = BigNum::from_slice(&curve.n).unwrap().num_bits();
        let digest = vec![0x5A; usize::try_from(bits / 8).unwrap()];
        let e = wide_bytes(&digest, width);
        let input = [e.clone(), wide(&k, width)].concat();
        let signature = run(0xE, [task, 0], &curve.private(&wide(&secret, width)), &input).output(2 * width);
        let (r, s) = signature.split_at(width);
        let [r, s] = [r, s].map(|number| BigNum::from_slice(number).unwrap());
        assert!(EcdsaSig::from_private_components(r, s).unwrap().verify(&digest, &key).unwrap());
        let theirs = EcdsaSig::sign(&digest, &key).unwrap();
        let point = curve.public(&affine(&curve.group, &public, width));
        let mut input = [e, wide(theirs.s(), width), wide(theirs.r(), width)].concat();
        assert_eq!(run(0xF, [task, 0], &point, &input).verdict(), 2);
        input[width - 1] ^= 1;
        assert_eq!(run(0xF, [task, 0], &point, &input).verdict(), 0);
    }
}

/// RFC 6979 A.2.5, "sample" with SHA-256; hpre §9.6.
#[test]
fn ecdsa_on_p256_as_published() {
    let p256 = Named::new(Nid::X9_62_PRIME256V1, 32);
    let e = hex("af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf");
    let secret = hex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721");
    let k = hex("A6E3C57DD01ABE90086538398355DD4C3B17AA873382B0F24D6129493D8AAD60");
    let r = hex("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716");
    let s = hex("f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8");
    let public = hex("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
         7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
    let signed = run(0xE, [3, 0], &p256.private(&secret), &[e.clone(), k.clone()].concat()).output(64);
    assert_eq!(signed, [r.clone(), s.clone()].concat());
    let n = BigNum::from_slice(&p256.n).unwrap();
    let point = p256.public(&public);
    let verdict = |e: &[u8], s: &[u8], r: &[u8]| run(0xF, [3, 0], &point, &[e, s, r].concat()).verdict();
    assert_eq!(verdict(&e, &s, &r), 2);
    assert_eq!(verdict(&e, &r, &s), 0);
    assert_eq!(verdict(&k, &s, &r), 0);
    // Out of range is invalid, not an error (hpre §8.2).
    for bad in [vec![0; 32], wide(&n, 32), vec![0xFF; 32]] {
        assert_eq!((verdict(&e, &bad, &r), verdict(&e, &s, &bad)), (0, 0));
    }
    let off_curve = p256.public(&[public[..63].to_vec(), vec![1]].concat());
    assert_eq!(run(0xF, [3, 0], &off_curve, &[e, s, r].concat()).verdict(), 0);
}

/// RFC 7748 §5.2 and §6, in the device's byte order; hpre §9.5.
#[test]
fn x25519_and_x448_as_published() {
    let p25519 = [vec![0x7F], vec![0xFF; 30], vec![0xED]].concat();
    let backwards = |text: &str| hex(text).into_iter().rev().collect::<Vec<_>>();
    let key = |scalar: &[u8]| [&p25519, &wide_bytes(&[0x01, 0xDB, 0x41], 32), scalar].concat();
    let scalar = hex("449a44ba44226a50185afcc10a4c1462dd5e46824b15163b9d7c52f06be346a0");
    let u = hex("4c1cabd0a603a9103b35b326ec2466727c5fb124a4c19435db3030586768dbe6");
    let out = backwards("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    assert_eq!(run(0x10, [3, 0], &key(&scalar), &u).output(32), out);
    // §6.1: Alice's public key.
    let mut alice = hex("2a2cb91da5fb77b12a99c0eb872f4cdf4566b25172c1163c7da518730a6d0777");
    alice[31] &= 0xF8;
    alice[0] = alice[0] & 0x7F | 0x40;
    let theirs = openssl::pkey::PKey::private_key_from_raw_bytes(
        &alice.iter().rev().copied().collect::<Vec<_>>(),
        openssl::pkey::Id::X25519,
    )
    .unwrap();
    let expected: Vec<u8> = theirs.raw_public_key().unwrap().into_iter().rev().collect();
    assert_eq!(run(0x10, [3, 0], &key(&alice), &wide_bytes(&[9], 32)).output(32), expected);

    let p448 = [vec![0; 16], vec![0xFF; 27], vec![0xFE], vec![0xFF; 28]].concat();
    let scalar = hex("d30a601c4f9a25294bf568a3eb4349f4bf8fd7cdf8244c989c770a7021e1aad1\
         d0045104efac8288d2349aa1fe665249888eecf9dd2f263c");
    let u = hex("86a0f84efba7a78aa1ad94db2954fa8325dac6198cc3bddd31c04d81f9080f02\
         7f4307bd4c3388ad8a3f26d5f26c5fdabf8734fa40e6fc06");
    let out = hex("6f6bd93df782627621 1e11613922989d77b0016ac65f44ebadba4fe19f235f6d\
         54d712240ab579dffb6a5ed8b11dda9766dc605af94f3ece");
    let key = [p448, wide_bytes(&[0x98, 0xA9], 72), wide_bytes(&scalar, 72)].concat();
    assert_eq!(run(0x10, [8, 0], &key, &wide_bytes(&u, 72)).output(72), wide_bytes(&out, 72));
}

#[test]
fn x25519_limits() {
    let p = [vec![0x7F], vec![0xFF; 30], vec![0xED]].concat();
    let key = [p.clone(), wide_bytes(&[0x01, 0xDB, 0x41], 32), wide_bytes(&[8], 32)].concat();
    // A point of order 2: the result is infinity, written as 0.
    let mut top = p.clone();
    top[31] -= 1;
    assert_eq!(run(0x10, [3, 0], &key, &wide_bytes(&[1], 32)).output(32), [0; 32]);
    for u in [vec![0; 32], p, vec![0xFF; 32]] {
        assert_eq!(run(0x10, [3, 0], &key, &u).error(), (1, 0));
    }
    assert_eq!(run(0x10, [5, 0], &key, &top).error(), (2, 0));
}

struct Sm2Example {
    curve: Named,
    secret: Vec<u8>,
    k: Vec<u8>,
    public: Vec<u8>,
}

/// The key of GM/T 0003.5, as in hpre §9.6.
fn sm2_example() -> Sm2Example {
    Sm2Example {
        curve: Named::new(Nid::SM2, 32),
        secret: hex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8"),
        k: hex("59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21"),
        public: hex("09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020\
             ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"),
    }
}

#[test]
fn sm2_signatures_as_published() {
    let Sm2Example { curve, secret, k, public } = sm2_example();
    let e = hex("f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640");
    let r = hex("f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3");
    let s = hex("b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa");
    let (private, point) = (curve.private(&secret), curve.public(&public));
    let signed = run(0x12, [3, 0], &private, &[e.clone(), k].concat()).output(64);
    assert_eq!(signed, [r.clone(), s.clone()].concat());
    assert_eq!(run(0x13, [3, 0], &point, &[&e[..], &s, &r].concat()).verdict(), 2);
    assert_eq!(run(0x13, [3, 0], &point, &[&e[..], &r, &s].concat()).verdict(), 0);
    // The device's own k: another signature each time, all valid. The k field is zero then.
    let own = |_| run(0x12, [0x0200_0003, 0], &private, &[&e[..], &[0; 32]].concat()).output(64);
    let [first, second] = [0, 1].map(own);
    assert_ne!(first, second);
    for signature in [first, second] {
        let (r, s) = signature.split_at(32);
        assert_eq!(run(0x13, [3, 0], &point, &[&e[..], s, r].concat()).verdict(), 2);
    }
}

#[test]
fn sm2_encryption_as_published() {
    let Sm2Example { curve, secret, k, public } = sm2_example();
    let message = b"encryption standard";
    let cipher = hex("04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73\
         e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0\
         21886ca989ca9c7d58087307ca93092d651efa\
         59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766");
    let (private, point) = (curve.private(&secret), curve.public(&public));
    let done = run(0x14, [3, 0x12], &point, &[&k[..], message].concat());
    assert_eq!(done.output(115), cipher);
    assert_eq!(run(0x15, [3, 0x12], &private[..128], &cipher).output(19), message);
    // The device's own k, and both ends of the length.
    for len in [1, 32, 33, 512] {
        let message = vec![0x42; len];
        let words = u32::try_from(len - 1).unwrap();
        let encrypt = || {
            run(0x14, [0x0200_0003, words], &point, &[&[0; 32], message.as_slice()].concat()).output(len + 96)
        };
        let (first, second) = (encrypt(), encrypt());
        assert_ne!(first, second);
        assert_eq!(run(0x15, [3, words], &private, &first).output(len), message);
        assert_eq!(run(0x15, [3, words], &private, &second).output(len), message);
    }
    // A ciphertext that is not one: nothing is written.
    for index in [64, 83, 114] {
        let mut wrong = cipher.clone();
        wrong[index] ^= 1;
        assert_eq!(run(0x15, [3, 0x12], &private, &wrong).error(), (0, 1));
    }
}

#[test]
fn sm2_keys_are_pairs_and_random() {
    let Sm2Example { curve, .. } = sm2_example();
    let generate = || run(0x11, [3, 0], &curve.public(&[0; 64]), &curve.base).output(96);
    let (first, second) = (generate(), generate());
    assert_ne!(first, second);
    for pair in [first, second] {
        let (public, secret) = pair.split_at(64);
        let expected = curve.multiple(&BigNum::from_slice(secret).unwrap());
        assert_eq!(public, affine(&curve.group, &expected, 32));
    }
}

/// hpre §4.3, §8.3: no on-curve check, ranges and impossible results are errors.
#[test]
fn multiplication_corner_cases() {
    let p256 = Named::new(Nid::X9_62_PRIME256V1, 32);
    let error = |scalar: &[u8], input: &[u8]| run(0xD, [3, 0], &p256.private(scalar), input).error();
    let mut off_curve = p256.base.clone();
    off_curve[63] ^= 1;
    run(0xD, [3, 0], &p256.private(&[5]), &off_curve).output(64);
    assert_eq!(error(&[0], &p256.base), (0, 1));
    assert_eq!(error(&p256.n, &p256.base), (0, 1));
    assert_eq!(error(&[5], &[0xFF; 64]), (1, 0));
    // One more than the order: the point itself.
    let mut scalar = p256.n.clone();
    scalar[31] += 1;
    assert_eq!(run(0xD, [3, 0], &p256.private(&scalar), &p256.base).output(64), p256.base);
    // p zero, even; n zero.
    let mut key = p256.private(&[5]);
    key[31] = 0;
    assert_eq!(run(0xD, [3, 0], &key, &p256.base).error(), (1, 0));
    let mut key = p256.private(&[5]);
    key[128..160].fill(0);
    assert_eq!(run(0xE, [3, 0], &key, &p256.base).error(), (1, 0));
    // k zero; widths and operations that do not exist.
    assert_eq!(run(0xE, [3, 0], &p256.private(&[5]), &[0; 64]).error(), (0, 1));
    assert_eq!(run(0x12, [5, 0], &p256.private(&[5]), &[0; 96]).error(), (2, 0));
    assert_eq!(run(0xB, [3, 0], &p256.private(&[5]), &[0; 96]).error(), (2, 0));
    assert_eq!(run(0x1, [0x1F, 0], &p256.private(&[5]), &[0; 96]).error(), (2, 0));
}

#[test]
fn a_remembered_verdict_is_the_same() {
    let Sm2Example { curve, public, .. } = sm2_example();
    let e = hex("f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640");
    let r = hex("f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3");
    let s = hex("b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa");
    let mut hpre = Hpre::new(1, Hardware::V3, true);
    let done = run(0x13, [3, 0], &curve.public(&public), &[&e[..], &s, &r].concat());
    for _ in 0..3 {
        let mut descriptor = done.before.clone();
        hpre.execute(&mut descriptor, &done.memory);
        assert_eq!(descriptor, done.after);
    }
}
