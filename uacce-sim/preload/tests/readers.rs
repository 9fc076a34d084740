//! Programs that read the simulated `/sys` and find device nodes: they see what a machine with devices shows.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Session, compile};

#[test]
fn shell_tools() {
    if !common::shows("shell tools", "they are this machine's own") {
        return;
    }
    let session = Session::new();
    let sh = |script: &str| session.run("/bin/bash", &["-c", script]);
    let real = "/sys/devices/";
    assert_eq!(sh("ls /sys/class/uacce"), "hisi_hpre-0\nhisi_zip-1\n");
    let long = sh("ls -l /sys/class/uacce/ /sys/class/uacce/hisi_zip-1/");
    assert!(long.contains("hisi_zip-1 -> ../../devices/") && long.contains("available_instances"), "{long}");
    assert_eq!(sh("cat /sys/class/uacce/hisi_zip-1/algorithms"), "zlib\ngzip\n");
    assert_eq!(sh("cd /sys/class/uacce/hisi_zip-1 && cat algorithms"), "zlib\ngzip\n");
    assert_eq!(sh("cd /sys/class/uacce && /bin/pwd && pwd"), "/sys/class/uacce\n/sys/class/uacce\n");
    let found = sh("find /sys/class/uacce/ | sort");
    assert_eq!(found, "/sys/class/uacce/\n/sys/class/uacce/hisi_hpre-0\n/sys/class/uacce/hisi_zip-1\n");
    let found = sh("find /sys/class/uacce/*/ -maxdepth 1 -name api");
    assert_eq!(found, "/sys/class/uacce/hisi_hpre-0/api\n/sys/class/uacce/hisi_zip-1/api\n");
    assert_eq!(sh("echo /sys/class/uacce/*"), "/sys/class/uacce/hisi_hpre-0 /sys/class/uacce/hisi_zip-1\n");
    assert_eq!(
        sh("[ -d /sys/class/uacce ] && [ -e /dev/hisi_zip-1 ] && [ ! -e /dev/hisi_zip-7 ] && echo yes"),
        "yes\n"
    );
    assert_eq!(sh("read -r api < /sys/class/uacce/hisi_zip-1/api && echo ${api%?}"), "hisi_qm_v\n");
    assert!(sh("stat /sys/class/uacce/hisi_zip-1 /dev/hisi_zip-1").contains("File: /dev/hisi_zip-1"));
    let link = sh("readlink -f /sys/class/uacce/hisi_zip-1");
    assert!(link.starts_with(real) && link.ends_with("/uacce/hisi_zip-1\n"), "{link}");
    assert_eq!(sh("realpath /sys/class/uacce/hisi_zip-1"), link);
    assert_eq!(sh("cd /sys/class/uacce/hisi_zip-1 && /bin/pwd -P"), link);
    assert!(sh("grep -r . /sys/class/uacce/hisi_zip-1/").contains("hisi_zip-1/flags:"));
    assert_eq!(sh("ls /dev | grep hisi"), "hisi_hpre-0\nhisi_zip-1\n");
    assert_eq!(
        sh("ls -d /dev/hisi_*; echo /dev/his*"),
        "/dev/hisi_hpre-0\n/dev/hisi_zip-1\n/dev/hisi_hpre-0 /dev/hisi_zip-1\n"
    );
    assert_eq!(sh("find /dev -maxdepth 1 -name 'hisi*' | sort"), "/dev/hisi_hpre-0\n/dev/hisi_zip-1\n");
    assert_eq!(
        sh("[ -c /dev/hisi_zip-1 ] && stat -c %F:%t:%T /dev/hisi_zip-1"),
        "character special file:f0:1\n"
    );
    assert!(sh("wc -c /sys/class/uacce/hisi_zip-1/flags").ends_with("/sys/class/uacce/hisi_zip-1/flags\n"));
}

const PYTHON: &str = r#"
import ctypes, errno, fcntl, glob, mmap, os, pathlib, select, stat, struct
C = '/sys/class/uacce'
assert sorted(os.listdir(C)) == ['hisi_hpre-0', 'hisi_zip-1']
assert sorted(e.path for e in os.scandir(C)) == [C + '/hisi_hpre-0', C + '/hisi_zip-1']
assert all(e.is_dir() and e.is_symlink() for e in os.scandir(C))
assert sorted(glob.glob(C + '/*')) == [C + '/hisi_hpre-0', C + '/hisi_zip-1']
real = os.path.realpath(C + '/hisi_zip-1')
print(real, os.readlink(C + '/hisi_zip-1'), pathlib.Path(C + '/hisi_zip-1/device').resolve())
assert real.startswith('/sys/devices/') and os.path.samefile(real, C + '/hisi_zip-1')
os.chdir(C); print(os.getcwd()); assert os.getcwd() == C
print([root for root, _, _ in os.walk(C, followlinks=False)])
text = lambda name: open(C + '/hisi_zip-1/' + name).read()
assert os.access(C + '/hisi_zip-1/api', os.R_OK) and text('api').startswith('hisi_qm_v')
assert {'hisi_hpre-0', 'hisi_zip-1', 'null'} <= set(os.listdir('/dev'))
assert sorted(glob.glob('/dev/hisi_*')) == ['/dev/hisi_hpre-0', '/dev/hisi_zip-1']
assert stat.S_ISCHR(os.stat('/dev/hisi_zip-1').st_mode) and pathlib.Path('/dev/hisi_zip-1').is_char_device()
fd = os.open('/dev/hisi_zip-1', os.O_RDWR | os.O_CLOEXEC)
rings = mmap.mmap(fd, int(text('region_dus_size')), offset=mmap.PAGESIZE)
bell = mmap.mmap(fd, int(text('region_mmio_size')))
context = fcntl.ioctl(fd, 0xC004480A, struct.pack('HH', 0, 0))
number = struct.unpack('HH', context)[0]
sqe, sq, cq, _ = struct.unpack('IHHQ', fcntl.ioctl(fd, 0xC010480B, bytes(16)))
assert (sqe, sq, cq) == (128, 1024, 1024)
fcntl.ioctl(fd, 0x5700)
assert select.select([fd], [], [], 0) == ([], [], [])
# A descriptor of zeros is refused by the device, and so completed.
rings[:128] = bytes(128)
address = ctypes.addressof(ctypes.c_char.from_buffer(bell)) + 0x1000
ctypes.c_uint64.from_address(address).value = number | 1 << 32
assert select.select([fd], [], [], 60)[0] == [fd]
head, queue, _, phase = struct.unpack('HHHH', rings[131072 + 8:131072 + 16])
assert (head, queue, phase & 1) == (0, number, 1)
ctypes.c_uint64.from_address(address).value = number | 1 << 12 | 1 << 32
assert select.select([fd], [], [], 0) == ([], [], [])
try: fcntl.ioctl(fd, 0x5799)
except OSError as e: assert e.errno == errno.EINVAL
else: assert False
print('done')
"#;

#[test]
fn python() {
    if !common::shows("python", "it is this machine's own") {
        return;
    }
    let session = Session::new();
    let said = session.run("/usr/bin/python3", &["-c", PYTHON]);
    assert!(said.ends_with("done\n"), "{said}");
}

#[test]
fn every_call_of_libc() {
    let session = Session::new();
    for flags in
        [&["-O0"] as &[_], &["-O2"], &["-O2", "-D_FORTIFY_SOURCE=2"], &["-O1", "-D_FILE_OFFSET_BITS=64"]]
    {
        let said = session.run(compile("paths", flags), &[]);
        assert!(said.ends_with("done\n"), "{flags:?}: {said}");
    }
}

#[test]
fn nodes_and_numbers() {
    let session = Session::new();
    for level in ["-O0", "-O2"] {
        let program = compile("nodes", &[level]);
        for case in ["lists", "statuses", "numbers", "ranges"] {
            if case == "ranges" && !common::shows(case, "close_range closes the emulator's own descriptors") {
                continue;
            }
            assert_eq!(session.run(&program, &[case]), "done\n", "{case}");
        }
    }
    common::wait_until(|| session.free("hisi_hpre-0") == 64);
}

/// A machine with larger pages: the program is told so, and everything fits.
#[test]
fn pages_of_another_machine() {
    let session = Session::with(&["--page-size", "65536"]);
    assert_eq!(session.run(compile("nodes", &["-O2"]), &["pages"]), "done\n");
    if common::shows("getconf", "it is this machine's own") {
        assert_eq!(session.run("/usr/bin/getconf", &["PAGESIZE"]), "65536\n");
    }
}

/// The directory reached by another spelling: the kernel answers with the one it knows.
#[test]
fn the_directory_through_a_symbolic_link() {
    let session = Session::new();
    let link = session.root.with_file_name("link");
    std::os::unix::fs::symlink(&session.root, &link).unwrap();
    let program = compile("paths", &["-O2"]);
    for spelled in [link.clone(), session.root.join("../link/."), session.root.join("")] {
        let output = session.command(&program).env("UACCE_SIM_ROOT", &spelled).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{}: {}",
            spelled.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!said.contains(link.parent().unwrap().to_str().unwrap()), "{said}");
    }
}
