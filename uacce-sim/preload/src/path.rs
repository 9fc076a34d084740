//! Which names are simulated, and where they really lie: `/sys/class/uacce…`, the simulated devices below
//! `/sys/devices`, and `/dev/hisi_*` are ordinary files below the daemon's directory.
//!
//! Every other name pays a look at its first component. Names are judged by their text, as if `/sys` held no links;
//! inside the simulated tree the kernel walks the rest, so a link followed by `..` behaves there as it does on `/sys`.
#![cfg_attr(test, allow(dead_code))]
#![expect(unsafe_code, reason = "reads the caller's C strings, enters the kernel")]

use crate::root::{self, ROOT_BYTES};
use crate::syscall;
use core::ffi::{c_char, c_int};

/// Longest logical name that can be simulated, bytes; longer ones are somebody else's.
const NAME_BYTES: usize = 768;
const CLASS: &[u8] = b"/sys/class/uacce";
const DEVICES: &[u8] = b"/sys/devices";
const NODES: &[u8] = b"/dev/";
const NODE: &[u8] = b"/dev/hisi_";

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Not simulated: use the name as it came.
    Foreign,
    /// Not simulated, but reached from inside the simulated tree by `..`: use [`Place::logical`].
    Outside,
    /// A file or directory of the simulated `/sys`.
    Attribute,
    /// A device node.
    Node,
}

/// A name's place: `root` bytes of the daemon's directory, then the logical name, then NUL.
pub(crate) struct Place {
    bytes: [u8; ROOT_BYTES + NAME_BYTES],
    root: usize,
    end: usize,
}

impl Place {
    /// The real file's name, NUL-terminated.
    pub(crate) fn real(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }

    /// The name a program without simulator would use, NUL-terminated.
    pub(crate) fn logical(&self) -> *const c_char {
        self.bytes.get(self.root..).map_or(core::ptr::null(), |logical| logical.as_ptr().cast())
    }

    /// As [`Self::logical`], without the NUL.
    fn name(&self) -> &[u8] {
        self.bytes.get(self.root..self.end).unwrap_or_default()
    }

    /// A device node's own name, e.g. `hisi_zip-4`.
    #[cfg_attr(test, allow(dead_code))]
    pub(crate) fn node(&self) -> &[u8] {
        self.name().get(NODES.len()..).unwrap_or_default()
    }

    /// Whether the directory it would lie in exists.
    #[cfg_attr(test, allow(dead_code))]
    pub(crate) fn has_parent(&self) -> bool {
        let mut parent = Self { bytes: self.bytes, root: self.root, end: self.end };
        while parent.name().last() == Some(&b'/') {
            parent.pop();
        }
        parent.pop();
        // SAFETY: `real` is NUL-terminated by every `pop`.
        unsafe { syscall::exists(parent.real().cast()) }
    }

    fn new(root: &[u8]) -> Option<Self> {
        let mut place = Self { bytes: [0; ROOT_BYTES + NAME_BYTES], root: root.len(), end: root.len() };
        place.bytes.get_mut(..root.len())?.copy_from_slice(root);
        Some(place)
    }

    /// Appends `bytes` and a NUL; `None` when they do not fit.
    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.end.checked_add(bytes.len())?;
        self.bytes.get_mut(self.end..end)?.copy_from_slice(bytes);
        *self.bytes.get_mut(end)? = 0;
        self.end = end;
        Some(())
    }

    fn pop(&mut self) {
        let last = self.name().iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        self.end = self.root + last;
        if let Some(end) = self.bytes.get_mut(self.end) {
            *end = 0;
        }
    }

    /// Walks `name` from where this place stands, by its text alone. Stops walking inside the simulated tree when the
    /// rest never leaves it: that rest is appended as it is. `None` when it does not fit.
    fn walk(&mut self, name: &[u8]) -> Option<()> {
        let mut rest = name;
        loop {
            let start = rest.iter().position(|byte| *byte != b'/').unwrap_or(rest.len());
            rest = rest.get(start..)?;
            let len = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let component = rest.get(..len)?;
            rest = rest.get(len..)?;
            match component {
                b"" | b"." => {}
                b".." => self.pop(),
                _ => {
                    self.push(b"/")?;
                    self.push(component)?;
                }
            }
            if rest.is_empty() {
                return Some(());
            }
            if self.at_tree() && stays_inside(rest) {
                return self.push(rest);
            }
            if rest.iter().all(|byte| *byte == b'/') {
                return self.push(b"/");
            }
        }
    }

    /// Whether this place is the top of a simulated directory, below which the kernel may walk.
    fn at_tree(&self) -> bool {
        let name = self.name();
        // SAFETY: `real` is NUL-terminated by every `push`.
        name == CLASS || (below(DEVICES, name).is_some() && unsafe { syscall::exists(self.real().cast()) })
    }

    fn kind(&self) -> Kind {
        let name = self.name();
        if name.strip_prefix(CLASS).is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'/')) {
            Kind::Attribute
        } else if name.starts_with(NODE) {
            let node = name.get(NODES.len()..).unwrap_or_default();
            if node.contains(&b'/') { Kind::Attribute } else { Kind::Node }
        // SAFETY: `real` is NUL-terminated by every `push`.
        } else if below(DEVICES, name).is_some() && unsafe { syscall::exists(self.real().cast()) } {
            Kind::Attribute
        } else {
            Kind::Foreign
        }
    }
}

/// The part of `name` after `tree/`, if it lies below `tree`.
fn below<'a>(tree: &[u8], name: &'a [u8]) -> Option<&'a [u8]> {
    name.strip_prefix(tree)?.strip_prefix(b"/").filter(|rest| !rest.is_empty())
}

/// Whether following `rest` never climbs above where it starts, judged by its text.
fn stays_inside(rest: &[u8]) -> bool {
    let mut depth = 0usize;
    for component in rest.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return false,
            },
            _ => depth += 1,
        }
    }
    true
}

/// First components of relative names that could lead into the simulated tree from a real directory above it.
const RELATIVE: [&[u8]; 8] = [b"sys", b"class", b"devices", b"uacce", b"dev", b"hisi_", b"pci", b".."];

/// Quick judgement: may `name` be simulated at all? Never wrong about a no.
///
/// # Safety
/// `name` points at a NUL-terminated string.
unsafe fn may_concern(root: &[u8], name: *const u8) -> bool {
    // SAFETY: as promised; reading stops at the first difference, at the latest at the NUL.
    let starts_with = |at: *const u8, text: &[u8]| {
        // SAFETY: as above.
        text.iter().enumerate().all(|(index, byte)| unsafe { *at.add(index) } == *byte)
    };
    // SAFETY: as promised; reading stops at the NUL.
    unsafe {
        let mut at = name;
        if *at == b'/' {
            while *at == b'/' {
                at = at.add(1);
            }
            return *at == b'.'
                || starts_with(at, b"sys/")
                || starts_with(at, b"dev/")
                || starts_with(name, root)
                || climbs(at);
        }
        while *at == b'.' && *at.add(1) == b'/' {
            at = at.add(2);
            while *at == b'/' {
                at = at.add(1);
            }
        }
        RELATIVE.iter().any(|component| starts_with(at, component)) || climbs(at)
    }
}

/// Whether a NUL-terminated string contains `/..`.
///
/// # Safety
/// `at` points at a NUL-terminated string.
unsafe fn climbs(mut at: *const u8) -> bool {
    // SAFETY: as promised; each read follows one that found no NUL.
    unsafe {
        while *at != 0 {
            if *at == b'/' && *at.add(1) == b'.' && *at.add(2) == b'.' {
                return true;
            }
            at = at.add(1);
        }
    }
    false
}

/// Judges `name`, relative to `directory` (a descriptor or `AT_FDCWD`); the text of the place is built in `place`.
fn resolve(root: &[u8], directory: c_int, name: &[u8], place: &mut Place) -> Option<Kind> {
    if name.first() == Some(&b'/') {
        // The daemon's own spelling of a node is as good as ours.
        let inner = name.strip_prefix(root).filter(|rest| rest.starts_with(NODE));
        place.walk(inner.unwrap_or(name))?;
        return Some(place.kind());
    }
    let (inside, climbs) = (enter(root, directory, place)?, name.windows(2).any(|pair| pair == b".."));
    let above = matches!(place.name(), b"" | b"/dev" | b"/sys") || place.name().starts_with(b"/sys/");
    if !climbs && !above && !inside {
        return Some(Kind::Foreign);
    }
    if place.end > place.root {
        place.walk_from_base(name)?;
    } else {
        place.walk(name)?;
    }
    Some(match place.kind() {
        Kind::Attribute if inside => Kind::Foreign,
        Kind::Foreign if inside && climbs => Kind::Outside,
        kind => kind,
    })
}

impl Place {
    /// As [`Self::walk`], but the kernel may already take over at once.
    fn walk_from_base(&mut self, name: &[u8]) -> Option<()> {
        if self.at_tree() && stays_inside(name) {
            self.push(b"/")?;
            return self.push(name);
        }
        self.walk(name)
    }
}

/// Puts the directory's own name into `place`. Returns whether it lies in the daemon's directory (whose spelling is
/// then taken off).
fn enter(root: &[u8], directory: c_int, place: &mut Place) -> Option<bool> {
    let free = place.bytes.get_mut(place.root..)?;
    let len = if directory == libc::AT_FDCWD {
        let arguments = [free.as_mut_ptr() as usize, free.len(), 0, 0, 0, 0];
        // SAFETY: getcwd writes at most `free.len()` bytes.
        unsafe { syscall::call(libc::SYS_getcwd, arguments) }.ok()?.checked_sub(1)?
    } else {
        syscall::descriptor_path(directory, free)?
    };
    let base = free.get(..len).filter(|base| base.first() == Some(&b'/'))?;
    let inner = base.strip_prefix(root).filter(|rest| rest.starts_with(b"/sys") || rest.starts_with(b"/dev"));
    let (inside, len) = (inner.is_some(), inner.map_or(len, <[u8]>::len));
    if inside {
        free.copy_within(root.len()..root.len() + len, 0);
    }
    place.end = place.root + if free.get(..len) == Some(b"/".as_slice()) { 0 } else { len };
    *place.bytes.get_mut(place.end)? = 0;
    Some(inside)
}

/// What an interposed call is given to work with.
#[cfg_attr(test, allow(dead_code))]
pub(crate) struct Target<'a> {
    /// Directory descriptor to use.
    pub(crate) directory: c_int,
    /// Name to use, NUL-terminated.
    pub(crate) name: *const c_char,
    /// What it is.
    pub(crate) kind: Kind,
    /// With [`Kind::Attribute`] and [`Kind::Node`]: the whole place.
    pub(crate) place: Option<&'a Place>,
}

/// Runs `act` with the place `name` really has. `errno` is not touched.
///
/// # Safety
/// `name` is null or points at a NUL-terminated string.
#[inline]
pub(crate) unsafe fn at<R>(directory: c_int, name: *const c_char, act: impl FnOnce(Target<'_>) -> R) -> R {
    if let Some(root) = root::root() {
        // SAFETY: not null, and a string by the caller's promise.
        if !name.is_null() && unsafe { may_concern(root, name.cast()) } {
            // SAFETY: the same promise.
            return unsafe { judge(root, directory, name, act) };
        }
    }
    act(Target { directory, name, kind: Kind::Foreign, place: None })
}

/// As [`at`], for a name that may be simulated.
///
/// # Safety
/// `name` points at a NUL-terminated string.
#[cold]
#[inline(never)]
unsafe fn judge<R>(
    root: &[u8],
    directory: c_int,
    name: *const c_char,
    act: impl FnOnce(Target<'_>) -> R,
) -> R {
    let foreign = Target { directory, name, kind: Kind::Foreign, place: None };
    let Some(mut place) = Place::new(root) else { return act(foreign) };
    // SAFETY: the caller's promise.
    let text = unsafe { core::ffi::CStr::from_ptr(name) }.to_bytes();
    match resolve(root, directory, text, &mut place) {
        None | Some(Kind::Foreign) => act(foreign),
        Some(kind @ Kind::Outside) => {
            act(Target { directory: libc::AT_FDCWD, name: place.logical(), kind, place: None })
        }
        Some(kind) => {
            act(Target { directory: libc::AT_FDCWD, name: place.real(), kind, place: Some(&place) })
        }
    }
}

/// How many bytes of `answer` are the daemon's directory before a simulated name: what a program must not see.
#[cfg_attr(test, allow(dead_code))]
pub(crate) fn hidden_prefix(root: &[u8], answer: &[u8]) -> Option<usize> {
    let rest = answer.strip_prefix(root)?;
    let shown =
        rest == b"/sys" || rest == b"/dev" || rest.starts_with(b"/sys/") || rest.starts_with(b"/dev/");
    shown.then_some(root.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(root: &str, directory: c_int, name: &str) -> (Kind, String) {
        let mut place = Place::new(root.as_bytes()).unwrap();
        let kind = resolve(root.as_bytes(), directory, name.as_bytes(), &mut place).unwrap_or(Kind::Foreign);
        (kind, String::from_utf8_lossy(place.name()).into_owned())
    }

    #[test]
    fn absolute_names() {
        let class = "/sys/class/uacce";
        for (name, kind, logical) in [
            (class, Kind::Attribute, class),
            ("/sys/class/uacce/", Kind::Attribute, "/sys/class/uacce/"),
            ("//sys/./class//uacce/hisi_zip-4/api", Kind::Attribute, "/sys/class/uacce/hisi_zip-4/api"),
            ("/sys/class/../class/uacce", Kind::Attribute, class),
            ("/proc/self/../../sys/class/uacce", Kind::Attribute, class),
            ("/../sys/class/uacce", Kind::Attribute, class),
            (
                "/sys/class/uacce/hisi_zip-4/device/..",
                Kind::Attribute,
                "/sys/class/uacce/hisi_zip-4/device/..",
            ),
            ("/sys/class/uacce/../net/lo", Kind::Foreign, "/sys/class/net/lo"),
            ("/sys/class/uacce-not", Kind::Foreign, "/sys/class/uacce-not"),
            ("/dev/hisi_zip-4", Kind::Node, "/dev/hisi_zip-4"),
            ("/dev/../dev//hisi_zip-4", Kind::Node, "/dev/hisi_zip-4"),
            ("/dev/hisi_zip-4/x", Kind::Attribute, "/dev/hisi_zip-4/x"),
            ("/dev/null", Kind::Foreign, "/dev/null"),
            ("/nowhere/dev/hisi_zip-4", Kind::Node, "/dev/hisi_zip-4"),
            ("/sys/devices/surely-not-there", Kind::Foreign, "/sys/devices/surely-not-there"),
        ] {
            assert_eq!(judged("/nowhere", libc::AT_FDCWD, name), (kind, logical.to_owned()), "{name}");
        }
    }

    #[test]
    fn names_relative_to_a_directory() {
        use std::os::fd::AsRawFd;
        let class = std::fs::File::open("/sys").unwrap();
        let (kind, logical) = judged("/nowhere", class.as_raw_fd(), "class/uacce/hisi_zip-4");
        assert_eq!((kind, logical.as_str()), (Kind::Attribute, "/sys/class/uacce/hisi_zip-4"));
        let proc = std::fs::File::open("/proc/self").unwrap();
        assert_eq!(judged("/nowhere", proc.as_raw_fd(), "sys/class/uacce").0, Kind::Foreign);
        assert_eq!(judged("/nowhere", proc.as_raw_fd(), "../../dev/hisi_zip-0").0, Kind::Node);
        let top = std::fs::File::open("/").unwrap();
        assert_eq!(judged("/nowhere", top.as_raw_fd(), "dev/hisi_zip-0").0, Kind::Node);
        assert_eq!(judged("/nowhere", top.as_raw_fd(), "sys/class").0, Kind::Foreign);
    }

    #[test]
    fn names_inside_the_daemons_directory() {
        use std::os::fd::AsRawFd;
        let root = std::env::temp_dir().join(format!("uacce-sim-path-{}", std::process::id()));
        let inner = root.join("sys/class/uacce");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::create_dir_all(root.join("sys/devices/pci0000:74")).unwrap();
        std::fs::create_dir_all(root.join("dev")).unwrap();
        let spelled = root.to_str().unwrap();
        let class = std::fs::File::open(&inner).unwrap();
        let nodes = std::fs::File::open(root.join("dev")).unwrap();
        assert_eq!(judged(spelled, class.as_raw_fd(), "hisi_zip-4/api").0, Kind::Foreign);
        let outside = (Kind::Outside, "/sys/class/net".to_owned());
        assert_eq!(judged(spelled, class.as_raw_fd(), "../net"), outside);
        assert_eq!(
            judged(spelled, nodes.as_raw_fd(), "hisi_zip-4"),
            (Kind::Node, "/dev/hisi_zip-4".to_owned())
        );
        assert_eq!(judged(spelled, libc::AT_FDCWD, "/sys/devices/pci0000:74").0, Kind::Attribute);
        assert_eq!(judged(spelled, libc::AT_FDCWD, "/sys/devices").0, Kind::Foreign);
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn unrelated_names_are_let_through_early() {
        for (name, concern) in [
            (c"/etc/passwd", false),
            (c"/systemd", false),
            (c"/sys/class", true),
            (c"/usr/../sys/class/uacce", true),
            (c"Cargo.toml", false),
            (c"", false),
            (c"./uacce/x", true),
            (c"../x", true),
            (c"/", false),
        ] {
            // SAFETY: a literal, NUL-terminated.
            assert_eq!(unsafe { may_concern(b"/run/sim", name.as_ptr().cast()) }, concern, "{name:?}");
        }
    }

    #[test]
    fn answers_lose_the_daemons_directory() {
        assert_eq!(hidden_prefix(b"/run/sim", b"/run/sim/sys/devices/x"), Some(8));
        assert_eq!(hidden_prefix(b"/run/sim", b"/run/sim/system"), None);
        assert_eq!(hidden_prefix(b"/run/sim", b"/run/simulated/sys/x"), None);
    }
}
