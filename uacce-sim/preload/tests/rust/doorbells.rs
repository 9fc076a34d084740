//! A client in Rust: rings doorbells by every store the language has, and waits for the completions.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

unsafe extern "C" {
    fn open(name: *const c_char, flags: c_int) -> c_int;
    fn ioctl(descriptor: c_int, command: u64, ...) -> c_int;
    fn mmap(at: *mut c_void, len: usize, prot: c_int, flags: c_int, descriptor: c_int, offset: c_long) -> *mut c_void;
}

fn attribute(name: &str) -> usize {
    let path = format!("/sys/class/uacce/hisi_zip-1/{name}");
    std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

fn main() {
    let names: Vec<_> = std::fs::read_dir("/sys/class/uacce").unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(names.len() == 2 && names.iter().all(|name| name.join("api").exists()), "{names:?}");
    let real = std::fs::canonicalize("/sys/class/uacce/hisi_zip-1").unwrap();
    assert!(real.starts_with("/sys/devices"), "{real:?}");
    let (page, rings_len, registers_len) = (4096, attribute("region_dus_size"), attribute("region_mmio_size"));
    unsafe {
        let device = open(c"/dev/hisi_zip-1".as_ptr(), 0o2000002);
        assert!(device >= 0);
        let rings = mmap(std::ptr::null_mut(), rings_len, 3, 1, device, page).cast::<u8>();
        let registers = mmap(std::ptr::null_mut(), registers_len, 3, 1, device, 0).cast::<u8>();
        assert!(rings as isize != -1 && registers as isize != -1);
        let mut context = [0u16; 2];
        assert_eq!(ioctl(device, 0xC004480A, context.as_mut_ptr()), 0);
        assert_eq!(ioctl(device, 0x5700), 0);
        let bell = registers.add(0x1000);
        let forms: [fn(*mut u8, u64); 6] = [
            |at, word| unsafe { at.cast::<u64>().write_volatile(word) },
            |at, word| unsafe { (*at.cast::<AtomicU64>()).store(word, Ordering::Relaxed) },
            |at, word| unsafe { (*at.cast::<AtomicU64>()).store(word, Ordering::Release) },
            |at, word| unsafe { (*at.cast::<AtomicU64>()).store(word, Ordering::SeqCst) },
            |at, word| unsafe { assert_eq!((*at.cast::<AtomicU64>()).swap(word, Ordering::SeqCst), 0) },
            |at, word| unsafe {
                (*at.cast::<AtomicU32>()).store(word as u32, Ordering::Relaxed);
                (*at.add(4).cast::<AtomicU32>()).store((word >> 32) as u32, Ordering::Release);
            },
        ];
        let number = u64::from(context[0]);
        for turn in 0..600u64 {
            // A descriptor of zeros is refused by the device, and so completed.
            rings.add(turn as usize * 128).write_bytes(0, 128);
            let ring = forms[turn as usize % forms.len()];
            ring(bell, number | (turn + 1) << 32);
            let phase = &*rings.add(128 * 1024 + turn as usize * 16 + 14).cast::<AtomicU16>();
            let start = std::time::Instant::now();
            while phase.load(Ordering::Acquire) & 1 == 0 {
                assert!(start.elapsed().as_secs() < 60, "doorbell {turn} was lost");
                std::thread::yield_now();
            }
            ring(bell, number | 1 << 12 | (turn + 1) << 32);
        }
    }
    println!("done");
}
