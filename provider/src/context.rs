//! One loaded instance: a provider context as libcrypto holds it. A process may have several, one per library context.

use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use once_cell::race::OnceBox;

use crate::config::Config;
use crate::error::Reason;
use crate::ffi::bindings::{Algorithm, CoreHandle, operation};
use crate::ffi::fallback::Fallback;
use crate::ffi::handle::Reports;
use crate::ffi::upcalls::Core;
use crate::tables::Tables;

/// State of one instance. Everything here is shared between threads and only ever filled in.
pub(crate) struct Context {
    core: Core,
    config: Config,
    /// The software provider, as the core last reported it; null when it is not active.
    reported: AtomicPtr<CoreHandle>,
    fallback: OnceBox<Found>,
    complained: AtomicBool,
}

/// The software provider and the tables that were built from it.
struct Found {
    fallback: Arc<Fallback>,
    tables: Tables,
}

impl Context {
    pub(crate) fn new(core: Core) -> Self {
        Self {
            core,
            config: Config::read(&core),
            reported: AtomicPtr::default(),
            fallback: OnceBox::new(),
            complained: AtomicBool::new(false),
        }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Notes that `provider`, the one to fall back on, is active now.
    pub(crate) fn fallback_arrived(&self, provider: *const CoreHandle) {
        self.reported.store(provider.cast_mut(), Ordering::Release);
    }

    /// Notes that `provider` is going.
    pub(crate) fn provider_leaves(&self, provider: *const CoreHandle) {
        let gone = std::ptr::null_mut();
        let _ =
            self.reported.compare_exchange(provider.cast_mut(), gone, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// The software provider, once found.
    pub(crate) fn fallback(&self) -> Option<&Arc<Fallback>> {
        Some(&self.fallback.get()?.fallback)
    }

    /// The algorithms of an operation, or null; the flag is true when the answer may change later.
    pub(crate) fn query(&self, asked: c_int) -> (*const Algorithm, bool) {
        let is_offered = match asked {
            operation::CIPHER => self.config.ciphers,
            operation::KEYMGMT | operation::KEYEXCH | operation::SIGNATURE | operation::ASYM_CIPHER => true,
            _ => false,
        };
        if !is_offered {
            return (std::ptr::null(), false);
        }
        match self.find() {
            Some(found) => (found.tables.of(asked), false),
            None => {
                if !self.complained.swap(true, Ordering::Relaxed) {
                    let detail = format!(
                        "no active provider is named {}: nothing is offered",
                        self.config.fallback.to_string_lossy()
                    );
                    Reason::NoFallback.raise(&self.core, c"query_operation", &detail);
                }
                (std::ptr::null(), true)
            }
        }
    }

    /// The software provider and what is offered over it, when it is there.
    pub(crate) fn offered(&self) -> Option<(&Arc<Fallback>, &Tables)> {
        self.find().map(|found| (&found.fallback, &found.tables))
    }

    fn find(&self) -> Option<&Found> {
        let found = self.fallback.get_or_try_init(|| {
            let provider = self.reported.load(Ordering::Acquire);
            if provider.is_null() {
                return Err(());
            }
            let held = self.core.hold_reported(provider).ok_or(())?;
            let fallback = Fallback::new(held).ok_or(())?;
            let tables = Tables::new(&fallback, &self.config);
            Ok(Box::new(Found { fallback, tables }))
        });
        found.ok()
    }
}

impl Reports for Context {
    fn report_panic(&self) {
        Reason::Internal.raise(&self.core, c"provider", "");
    }
}
