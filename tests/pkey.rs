//! Every public-key operation of the core on simulated HPRE devices, beside libcrypto: same numbers, by the device, and never
//! a wrong one when the device lies.
//!
//! The tests start this very program again as a client of a simulator session ([`client`]); libcrypto there is the stock one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Devices, Scratch, Simulator, failures, stock, succeed};
use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::derive::Deriver;
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey};
use openssl::rsa::{Padding, Rsa};
use warpdrive::request::pkey::{
    Curve, CurveName, CurveParameters, DhPrivateKey, EcPrivateKey, EcPublicKey, EcxKind, EcxPrivateKey,
    RsaComponents, RsaPrivateKey,
};
use warpdrive::{Algorithm, Outcome};

/// Curves by their names here and in libcrypto. The last is known by its numbers alone.
const CURVES: [(CurveName, Nid); 12] = [
    (CurveName::P192, Nid::X9_62_PRIME192V1),
    (CurveName::P224, Nid::SECP224R1),
    (CurveName::P256, Nid::X9_62_PRIME256V1),
    (CurveName::P384, Nid::SECP384R1),
    (CurveName::P521, Nid::SECP521R1),
    (CurveName::Secp256k1, Nid::SECP256K1),
    (CurveName::BrainpoolP256, Nid::BRAINPOOL_P256R1),
    (CurveName::BrainpoolP320, Nid::BRAINPOOL_P320R1),
    (CurveName::BrainpoolP384, Nid::BRAINPOOL_P384R1),
    (CurveName::BrainpoolP512, Nid::BRAINPOOL_P512R1),
    (CurveName::Sm2, Nid::SM2),
    (CurveName::Other, Nid::BRAINPOOL_P256T1),
];

/// Says whether the device answered; a wrong answer panics.
type Case = Box<dyn FnMut() -> bool>;

/// One kind of work.
struct Kind {
    /// Where it is counted.
    row: String,
    /// The core finds every damage to an answer by itself.
    checked: bool,
    /// Makes its keys.
    prepare: Box<dyn FnOnce() -> Case>,
}

fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    let mut add =
        |row: String, checked, prepare: Box<dyn FnOnce() -> Case>| kinds.push(Kind { row, checked, prepare });
    for bits in [1024, 2048, 3072, 4096] {
        add(format!("rsa-{bits}-private"), false, Box::new(move || rsa(bits)));
    }
    let moduli = [
        BigNum::get_rfc2409_prime_768(),
        BigNum::get_rfc2409_prime_1024(),
        BigNum::get_rfc3526_prime_1536(),
        BigNum::get_rfc3526_prime_2048(),
        BigNum::get_rfc3526_prime_3072(),
        BigNum::get_rfc3526_prime_4096(),
    ];
    for p in moduli {
        let p = p.unwrap();
        for generator in [2, 5] {
            let own = p.to_owned().unwrap();
            add(format!("dh-{}", p.num_bits()), false, Box::new(move || dh(own, generator)));
        }
    }
    for (name, nid) in CURVES {
        let group = move || Group::new(name, nid);
        add(Algorithm::Ecdh(name).name().to_owned(), true, Box::new(move || ecdh(group())));
        add(Algorithm::EcdsaSign(name).name().to_owned(), true, Box::new(move || ecdsa_sign(group())));
        // The answer is one bit: a device that lies about it is believed.
        add(Algorithm::EcdsaVerify(name).name().to_owned(), false, Box::new(move || ecdsa_verify(group())));
    }
    add("x25519".into(), false, Box::new(move || ecx(EcxKind::X25519, Id::X25519)));
    add("x448".into(), false, Box::new(move || ecx(EcxKind::X448, Id::X448)));
    add("sm2-sign".into(), true, Box::new(move || sm2_sign()));
    add("sm2-verify".into(), false, Box::new(move || sm2_verify()));
    add("sm2-encrypt".into(), false, Box::new(move || sm2_encrypt()));
    add("sm2-decrypt".into(), false, Box::new(move || sm2_decrypt()));
    add("sm2-encrypt".into(), true, Box::new(move || sm2_encryption_points()));
    add("sm2-decrypt".into(), false, Box::new(move || sm2_decryption_point()));
    kinds
}

fn random(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    openssl::rand::rand_bytes(&mut bytes).unwrap();
    bytes
}

fn padded(number: &BigNumRef, len: usize) -> Vec<u8> {
    number.to_vec_padded(i32::try_from(len).unwrap()).unwrap()
}

/// A number in 2..bound.
fn below(bound: &BigNumRef) -> BigNum {
    let mut number = BigNum::new().unwrap();
    loop {
        bound.rand_range(&mut number).unwrap();
        if number.num_bits() > 1 {
            return number;
        }
    }
}

/// `hardware` when the outcome is a device's and `right` says so; damage that the core must find is never delivered.
fn delivered(outcome: &Outcome<(), ()>, right: bool) -> bool {
    let hardware = *outcome == Outcome::Hardware(());
    assert!(!hardware || right, "a wrong answer was delivered");
    hardware
}

fn rsa(bits: u32) -> Case {
    let rsa = Rsa::generate(bits).unwrap();
    let part = |number: Option<&BigNumRef>| number.unwrap().to_vec();
    let (p, q, dp, dq, qinv) =
        (part(rsa.p()), part(rsa.q()), part(rsa.dmp1()), part(rsa.dmq1()), part(rsa.iqmp()));
    let (n, e, d) = (rsa.n().to_vec(), rsa.e().to_vec(), rsa.d().to_vec());
    let crt = RsaComponents { n: &n, e: &e, d: &d, p: &p, q: &q, dp: &dp, dq: &dq, qinv: &qinv };
    let plain = RsaComponents { p: &[], q: &[], dp: &[], dq: &[], qinv: &[], ..crt };
    let keys = [RsaPrivateKey::new(&crt).unwrap(), RsaPrivateKey::new(&plain).unwrap()];
    let mut turn = 0;
    Box::new(move || {
        turn += 1;
        let input = padded(&below(rsa.n()), n.len());
        let mut wanted = vec![0; n.len()];
        rsa.private_encrypt(&input, &mut wanted, Padding::NONE).unwrap();
        let mut output = vec![0; n.len()];
        let key = &keys[turn % 2];
        let outcome = warpdrive::rsa_private(key, &input, &mut output, |answer| answer == wanted, || ());
        delivered(&outcome, output == wanted)
    })
}

fn dh(p: BigNum, generator: u8) -> Case {
    let mut context = BigNumContext::new().unwrap();
    Box::new(move || {
        let len = p.to_vec().len();
        let x = below(&p);
        let key = DhPrivateKey::new(&p.to_vec(), &x.to_vec()).unwrap();
        let mut power = |base: &BigNumRef| {
            let mut result = BigNum::new().unwrap();
            result.mod_exp(base, &x, &p, &mut context).unwrap();
            padded(&result, len)
        };
        let mut output = vec![0; len];
        let wanted = power(&BigNum::from_u32(generator.into()).unwrap());
        let outcome = warpdrive::dh_public(&key, &[generator], &mut output, |answer| answer == wanted, || ());
        let public = delivered(&outcome, output == wanted);
        let peer = below(&p);
        let wanted = power(&peer);
        let outcome =
            warpdrive::dh_shared(&key, &peer.to_vec(), &mut output, |answer| answer == wanted, || ());
        delivered(&outcome, output == wanted) && public
    })
}

/// A curve on both sides.
struct Group {
    theirs: EcGroup,
    ours: Curve,
    order: BigNum,
    context: BigNumContext,
}

impl Group {
    fn new(name: CurveName, nid: Nid) -> Self {
        let theirs = EcGroup::from_curve_name(nid).unwrap();
        let mut context = BigNumContext::new().unwrap();
        let number = || BigNum::new().unwrap();
        let (mut p, mut a, mut b, mut order) = (number(), number(), number(), number());
        theirs.components_gfp(&mut p, &mut a, &mut b, &mut context).unwrap();
        theirs.order(&mut order, &mut context).unwrap();
        let (mut gx, mut gy) = (number(), number());
        theirs.generator_opt().unwrap().affine_coordinates(&theirs, &mut gx, &mut gy, &mut context).unwrap();
        let [p, a, b, n, gx, gy] = [&p, &a, &b, &order, &gx, &gy].map(|number| number.to_vec());
        let parameters = CurveParameters { p: &p, a: &a, b: &b, n: &n, gx: &gx, gy: &gy };
        let ours = Curve::new(&parameters).unwrap();
        assert_eq!(ours.name(), name);
        assert!(Curve::known(name).is_none_or(|known| known == ours));
        Self { theirs, ours, order, context }
    }

    /// x ‖ y.
    fn coordinates(&mut self, point: &EcPoint) -> Vec<u8> {
        let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
        point.affine_coordinates(&self.theirs, &mut x, &mut y, &mut self.context).unwrap();
        let len = self.ours.len_bytes();
        [padded(&x, len), padded(&y, len)].concat()
    }

    fn multiply(&mut self, point: Option<&EcPoint>, scalar: &BigNumRef) -> EcPoint {
        let mut product = EcPoint::new(&self.theirs).unwrap();
        match point {
            None => product.mul_generator2(&self.theirs, scalar, &mut self.context).unwrap(),
            Some(point) => product.mul2(&self.theirs, point, scalar, &mut self.context).unwrap(),
        }
        product
    }

    fn public(&mut self, point: &EcPoint) -> EcPublicKey {
        let encoded = [vec![4], self.coordinates(point)].concat();
        EcPublicKey::from_uncompressed(&self.ours, &encoded).unwrap()
    }

    /// A private scalar with its keys.
    fn pair(&mut self) -> (BigNum, EcPoint, EcPrivateKey) {
        let d = below(&self.order);
        let point = self.multiply(None, &d);
        let public = self.public(&point);
        let key = EcPrivateKey::new(&self.ours, &d.to_vec(), Some(&public)).unwrap();
        (d, point, key)
    }

    /// r ‖ s.
    fn signature(&self, r: &BigNumRef, s: &BigNumRef) -> Vec<u8> {
        let len = self.ours.order_len_bytes();
        [padded(r, len), padded(s, len)].concat()
    }

    fn halves(&self, signature: &[u8]) -> (BigNum, BigNum) {
        let (r, s) = signature.split_at(self.ours.order_len_bytes());
        (BigNum::from_slice(r).unwrap(), BigNum::from_slice(s).unwrap())
    }
}

fn ecdh(mut group: Group) -> Case {
    Box::new(move || {
        let (d, own, key) = group.pair();
        let (_, peer, _) = group.pair();
        let wanted = group.coordinates(&own);
        let mut output = vec![0; wanted.len()];
        let outcome = warpdrive::ec_public(&key, &mut output, |_| true, || ());
        let public = delivered(&outcome, output == wanted);
        let shared = group.multiply(Some(&peer), &d);
        let wanted = group.coordinates(&shared);
        let peer = group.public(&peer);
        let outcome = warpdrive::ecdh(&key, &peer, &mut output, |_| true, || ());
        delivered(&outcome, output == wanted) && public
    })
}

fn ecdsa_sign(mut group: Group) -> Case {
    Box::new(move || {
        let (_, point, key) = group.pair();
        let theirs = EcKey::from_public_key(&group.theirs, &point).unwrap();
        let digest = random(64);
        let mut signature = vec![0; group.ours.order_len_bytes() * 2];
        let nonce = below(&group.order).to_vec();
        let outcome = warpdrive::ecdsa_sign(&key, &digest, &nonce, &mut signature, |_| true, || ());
        let right = || {
            let (r, s) = group.halves(&signature);
            EcdsaSig::from_private_components(r, s).unwrap().verify(&digest, &theirs).unwrap()
        };
        outcome == Outcome::Hardware(()) && delivered(&outcome, right())
    })
}

fn ecdsa_verify(mut group: Group) -> Case {
    Box::new(move || {
        let (d, point, key) = group.pair();
        let theirs = EcKey::from_private_components(&group.theirs, &d, &point).unwrap();
        let digest = random(32);
        let made = EcdsaSig::sign(&digest, &theirs).unwrap();
        let mut signature = group.signature(made.r(), made.s());
        let public = key.public().unwrap();
        let outcome = warpdrive::ecdsa_verify(public, &digest, &signature, || ());
        let last = signature.len() - 1;
        signature[last] ^= 1;
        let bad = warpdrive::ecdsa_verify(public, &digest, &signature, || ());
        assert_eq!(bad, Outcome::Software(()), "a bad signature is software's to judge");
        outcome == Outcome::Hardware(())
    })
}

fn ecx(kind: EcxKind, id: Id) -> Case {
    Box::new(move || {
        let scalar = random(kind.len_bytes());
        let theirs = PKey::private_key_from_raw_bytes(&scalar, id).unwrap();
        let key = EcxPrivateKey::new(kind, &scalar).unwrap();
        let mut output = vec![0; kind.len_bytes()];
        let wanted = theirs.raw_public_key().unwrap();
        let outcome = warpdrive::ecx_public(&key, &mut output, |answer| answer == wanted, || ());
        let public = delivered(&outcome, output == wanted);
        let other = PKey::private_key_from_raw_bytes(&random(kind.len_bytes()), id).unwrap();
        let peer = other.raw_public_key().unwrap();
        let peer_key = PKey::public_key_from_raw_bytes(&peer, id).unwrap();
        let mut deriver = Deriver::new(&theirs).unwrap();
        deriver.set_peer(&peer_key).unwrap();
        let wanted = deriver.derive_to_vec().unwrap();
        let outcome = warpdrive::ecx_shared(&key, &peer, &mut output, |answer| answer == wanted, || ());
        delivered(&outcome, output == wanted) && public
    })
}

fn sm2_group() -> Group {
    Group::new(CurveName::Sm2, Nid::SM2)
}

/// GB/T 32918.2 §7.1, with the arithmetic of libcrypto.
fn sm2_good(group: &mut Group, point: &EcPoint, e: &[u8], signature: &[u8]) -> bool {
    let (r, s) = group.halves(signature);
    let (mut t, mut x) = (BigNum::new().unwrap(), BigNum::new().unwrap());
    t.mod_add(&r, &s, &group.order, &mut group.context).unwrap();
    let first = group.multiply(None, &s);
    let second = group.multiply(Some(point), &t);
    let mut sum = EcPoint::new(&group.theirs).unwrap();
    sum.add(&group.theirs, &first, &second, &mut group.context).unwrap();
    let at = BigNum::from_slice(&group.coordinates(&sum)[..32]).unwrap();
    x.mod_add(&BigNum::from_slice(e).unwrap(), &at, &group.order, &mut group.context).unwrap();
    t.num_bits() > 0 && x == r
}

fn sm2_sign() -> Case {
    let mut group = sm2_group();
    Box::new(move || {
        let (_, point, key) = group.pair();
        let (e, nonce) = (random(32), below(&group.order).to_vec());
        let mut signature = vec![0; 64];
        let outcome = warpdrive::sm2_sign(&key, &e, &nonce, &mut signature, |_| true, || ());
        outcome == Outcome::Hardware(()) && delivered(&outcome, sm2_good(&mut group, &point, &e, &signature))
    })
}

fn sm2_verify() -> Case {
    let mut group = sm2_group();
    Box::new(move || {
        let (d, _, key) = group.pair();
        // r from a random point, s = (k - r·d) / (1 + d).
        let k = below(&group.order);
        let at = group.multiply(None, &k);
        let x = BigNum::from_slice(&group.coordinates(&at)[..32]).unwrap();
        let e = random(32);
        let number = || BigNum::new().unwrap();
        let (mut r, mut product, mut difference, mut inverse, mut s) =
            (number(), number(), number(), number(), number());
        let mut one_more = d.to_owned().unwrap();
        one_more.add_word(1).unwrap();
        let (order, context) = (&group.order, &mut group.context);
        r.mod_add(&BigNum::from_slice(&e).unwrap(), &x, order, context).unwrap();
        product.mod_mul(&r, &d, order, context).unwrap();
        difference.mod_sub(&k, &product, order, context).unwrap();
        inverse.mod_inverse(&one_more, order, context).unwrap();
        s.mod_mul(&difference, &inverse, order, context).unwrap();
        let mut signature = group.signature(&r, &s);
        let public = key.public().unwrap();
        let outcome = warpdrive::sm2_verify(public, &e, &signature, || ());
        signature[40] ^= 1;
        let bad = warpdrive::sm2_verify(public, &e, &signature, || ());
        assert_eq!(bad, Outcome::Software(()), "a bad signature is software's to judge");
        outcome == Outcome::Hardware(())
    })
}

/// C1 ‖ C2 ‖ C3 by GB/T 32918.4 §6.1, with the arithmetic of libcrypto.
fn sm2_ciphertext(group: &mut Group, point: &EcPoint, k: &BigNumRef, message: &[u8]) -> Vec<u8> {
    let sm3 = |parts: &[&[u8]]| hash(MessageDigest::from_name("sm3").unwrap(), &parts.concat()).unwrap();
    let c1 = group.multiply(None, k);
    let shared = group.multiply(Some(point), k);
    let (c1, shared) = (group.coordinates(&c1), group.coordinates(&shared));
    let blocks = (1_u32..).map(|counter| sm3(&[&shared, &counter.to_be_bytes()]).to_vec());
    let key: Vec<u8> = blocks.take(message.len().div_ceil(32)).flatten().collect();
    let c2: Vec<u8> = message.iter().zip(key).map(|(byte, key)| byte ^ key).collect();
    let c3 = sm3(&[&shared[..32], message, &shared[32..]]);
    [c1, c2, c3.to_vec()].concat()
}

/// A message that is not so short that its key could be all zero.
fn message(turn: usize) -> Vec<u8> {
    random([8, 19, 32, 33, 100, 511, 512][turn % 7])
}

fn sm2_encrypt() -> Case {
    let mut group = sm2_group();
    let mut turn = 0;
    Box::new(move || {
        turn += 1;
        let (_, point, key) = group.pair();
        let (message, k) = (message(turn), below(&group.order));
        let wanted = sm2_ciphertext(&mut group, &point, &k, &message);
        let mut output = vec![0; wanted.len()];
        let public = key.public().unwrap();
        let outcome = warpdrive::sm2_encrypt(
            public,
            &message,
            &k.to_vec(),
            &mut output,
            |answer| answer == wanted,
            || (),
        );
        delivered(&outcome, output == wanted)
    })
}

fn sm2_decrypt() -> Case {
    let mut group = sm2_group();
    let mut turn = 0;
    Box::new(move || {
        turn += 1;
        let (_, point, key) = group.pair();
        let (message, k) = (message(turn), below(&group.order));
        let mut ciphertext = sm2_ciphertext(&mut group, &point, &k, &message);
        let mut output = vec![0; message.len()];
        let outcome =
            warpdrive::sm2_decrypt(&key, &ciphertext, &mut output, |answer| answer == message, || ());
        let last = ciphertext.len() - 1;
        ciphertext[last] ^= 1;
        let bad = warpdrive::sm2_decrypt(&key, &ciphertext, &mut output, |_| true, || ());
        assert_eq!(bad, Outcome::Software(()), "a damaged message is software's to judge");
        delivered(&outcome, output == message)
    })
}

fn sm2_encryption_points() -> Case {
    let mut group = sm2_group();
    Box::new(move || {
        let (_, point, key) = group.pair();
        let k = below(&group.order);
        let wanted = [group.multiply(None, &k), group.multiply(Some(&point), &k)];
        let wanted = wanted.map(|point| group.coordinates(&point)).concat();
        let mut points = vec![0; wanted.len()];
        let (public, k) = (key.public().unwrap(), k.to_vec());
        let outcome = warpdrive::sm2_encryption_points(public, &k, 600, &mut points, |_| true, || ());
        delivered(&outcome, points == wanted)
    })
}

fn sm2_decryption_point() -> Case {
    let mut group = sm2_group();
    Box::new(move || {
        let (_, point, key) = group.pair();
        let k = below(&group.order);
        let [first, wanted] = [group.multiply(None, &k), group.multiply(Some(&point), &k)];
        let [first, wanted] = [first, wanted].map(|point| group.coordinates(&point));
        let c1 = EcPublicKey::new(key.curve(), &first[..32], &first[32..]).unwrap();
        let mut shared = vec![0; wanted.len()];
        let outcome =
            warpdrive::sm2_decryption_point(&key, &c1, 600, &mut shared, |answer| answer == wanted, || ());
        delivered(&outcome, shared == wanted)
    })
}

/// `WARPDRIVE_TEST_CASES` times each kind of work. With `WARPDRIVE_TEST_STRICT` every answer must be the device's; with
/// `WARPDRIVE_TEST_CHECKED` only those kinds whose damage the core finds by itself; with `WARPDRIVE_TEST_SHORT` not the longest
/// numbers.
#[test]
#[ignore = "the client half: the other tests start it below a simulator"]
fn client() {
    let number = std::env::var("WARPDRIVE_TEST_CASES").unwrap().parse().unwrap();
    let strict = std::env::var_os("WARPDRIVE_TEST_STRICT").is_some();
    let only_checked = std::env::var_os("WARPDRIVE_TEST_CHECKED").is_some();
    let short = std::env::var_os("WARPDRIVE_TEST_SHORT").is_some();
    let long = |row: &str| row.contains("3072") || row.contains("4096");
    for Kind { row, checked, prepare } in kinds() {
        if only_checked && !checked || short && long(&row) {
            continue;
        }
        let mut case = prepare();
        for _ in 0..number {
            let hardware = case();
            assert!(hardware || !strict, "{row}: software");
        }
    }
}

/// Devices with curves.
const V3: &[&str] = &["--hw", "v3"];

/// Runs [`client`] and gives what it counted.
fn run_client(name: &str, simulator: &[&str], cases: u32, variables: &[&str]) -> Scratch {
    let patience =
        "[wait]\ndeadline-ms = 400\n[health]\npause-min-ms = 1\npause-max-ms = 5\nknown-answers = 1\n";
    let scratch = Scratch::with_config(name, &format!("[policy]\ndefault = \"hardware\"\n{patience}"));
    let options = [&["--device", "hpre"], simulator].concat();
    let simulator = Simulator::start(&options);
    let mut command = stock("timeout");
    command.args(["--signal=KILL", "120"]).arg(std::env::current_exe().unwrap());
    scratch.accelerate(&mut command, Devices::Simulated(&simulator));
    command.env_remove("OPENSSL_CONF").env_remove("OPENSSL_MODULES");
    command.args(["client", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("WARPDRIVE_TEST_CASES", cases.to_string());
    command.envs(variables.iter().map(|name| (name, "1")));
    succeed(&mut command);
    scratch
}

#[test]
fn every_operation_gives_libcrypto_s_numbers_by_the_device() {
    let scratch = run_client("pkey", V3, 7, &["WARPDRIVE_TEST_STRICT"]);
    let counters = scratch.counters();
    for Kind { row, .. } in kinds() {
        let counted = &counters.algorithms[&row];
        assert!(counted.hardware >= 7, "{row}: {counted:?}");
        assert_eq!(failures(counted), [], "{row}");
    }
}

/// Damaged answers: what the core can find by itself it finds, with a `check` that finds nothing.
#[test]
fn damage_that_the_core_can_see_is_never_delivered() {
    for fault in ["bytes,every=3", "bytes,chance=0.4"] {
        let scratch =
            run_client("pkey-damage", &[V3, &["--fault", fault]].concat(), 12, &["WARPDRIVE_TEST_CHECKED"]);
        let counters = scratch.counters();
        let wrong = |row: &String| counters.algorithms[row].software.get("wrong-result").copied();
        let found: u64 = counters.algorithms.keys().filter_map(wrong).sum();
        assert!(found > 10, "{fault}: {found} found");
    }
}

/// With a `check` that knows the answer everything else is found too; every other trouble ends in software.
#[test]
fn no_trouble_delivers_a_wrong_number() {
    let faults = [
        "bytes,every=5",
        "status,every=3",
        "lost,every=40",
        "tag,every=20",
        "wild,every=20",
        "reset=30ms,every=4,times=20",
    ];
    for fault in faults {
        let scratch =
            run_client("pkey-faults", &[V3, &["--fault", fault]].concat(), 3, &["WARPDRIVE_TEST_SHORT"]);
        let counters = scratch.counters();
        assert!(counters.hardware() > 0, "{fault}: the device never answered");
        let failed: usize = counters.algorithms.values().map(|row| failures(row).len()).sum();
        assert!(failed > 0, "{fault}: nothing happened");
    }
}

/// An older device has no curves: design, not failure.
#[test]
fn the_older_device_does_rsa_and_dh_only() {
    let scratch = run_client("pkey-v2", &["--hw", "v2"], 1, &["WARPDRIVE_TEST_SHORT"]);
    for (name, row) in scratch.counters().algorithms {
        let old = name.starts_with("rsa-") || name.starts_with("dh-");
        assert_eq!(row.hardware > 0, old, "{name}: {row:?}");
        assert!(row.software.keys().all(|reason| reason == "unsupported"), "{name}: {row:?}");
    }
}
