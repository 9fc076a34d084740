//! What the provider tells about itself (`openssl list -providers -verbose`, `OSSL_PROVIDER_get_params`).

use std::ffi::CStr;

use warpdrive::{Algorithm, Reason, preview};

use crate::context::Context;
use crate::ffi::params::ParamsToFill;

/// The provider's name for people.
const NAME: &CStr = c"warpdrive";

/// The package's version.
const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};

/// What was built, for bug reports.
const BUILD: &CStr = if cfg!(warpdrive_unverified) {
    c"warpdrive, RSA ANSWERS UNVERIFIED: for measurements only"
} else {
    match CStr::from_bytes_with_nul(
        concat!("warpdrive ", env!("CARGO_PKG_VERSION"), ", Kunpeng accelerator queues\0").as_bytes(),
    ) {
        Ok(build) => build,
        Err(_) => c"",
    }
};

/// Answers what is asked and leaves the rest alone. False when a place does not fit its answer.
pub(crate) fn answer(context: &Context, params: &mut ParamsToFill<'_>) -> bool {
    params.answer_text(c"name", NAME)
        && params.answer_text(c"version", VERSION)
        && params.answer_text(c"buildinfo", BUILD)
        // Without a device everything still works, in software.
        && params.answer_number(c"status", 1)
        && params.answer_number(c"warpdrive.fallback", u8::from(context.fallback().is_some()))
        && (!params.asks(c"warpdrive.rsa-2048-private")
            || params.answer_text(c"warpdrive.rsa-2048-private", destination(context)))
}

/// Where an RSA-2048 private operation would go now: `hardware`, or the reason for software.
fn destination(context: &Context) -> &'static CStr {
    if !context.config().rsa_private {
        return c"policy";
    }
    match preview(Algorithm::RsaPrivate(2048), 256) {
        Ok(()) => c"hardware",
        Err(reason) => name(reason),
    }
}

fn name(reason: Reason) -> &'static CStr {
    match reason {
        Reason::Small => c"small",
        Reason::Tail => c"tail",
        Reason::Unsupported => c"unsupported",
        Reason::Policy => c"policy",
        Reason::Refused => c"refused",
        Reason::NoDevice => c"no-device",
        Reason::Busy => c"busy",
        Reason::TimeOut => c"time-out",
        Reason::Reset => c"reset",
        Reason::Paused => c"paused",
        Reason::DeviceError => c"device-error",
        Reason::WrongResult => c"wrong-result",
        _ => c"other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_the_names_of_the_counters() {
        for reason in [Reason::Small, Reason::Policy, Reason::NoDevice, Reason::Busy, Reason::WrongResult] {
            assert_eq!(name(reason).to_str(), Ok(reason.name()));
        }
        assert!(!VERSION.is_empty() && !BUILD.is_empty());
    }
}
