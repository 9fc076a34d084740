//! Why software answered.

/// Why a request was answered by software. The first five are *design*, the others *failure*.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Too small to be worth a trip to the device.
    Small,
    /// The end of a stream, shorter than the threshold, after hardware segments.
    Tail,
    /// The device, or this library, does not do this kind of request.
    Unsupported,
    /// The configuration says software, or measured cost does.
    Policy,
    /// The data was refused, by the device or by what checks its answer: damaged, or longer than the room for it. Software says which, in the caller's terms.
    Refused,
    /// No device is present, or none that this process may use.
    NoDevice,
    /// No free queue, full ring, or the process's budget is spent.
    Busy,
    /// No completion in time.
    TimeOut,
    /// The device was stopped, reset, isolated or removed.
    Reset,
    /// The device is paused after a failure.
    Paused,
    /// The device reported an error status for a request that software can serve.
    DeviceError,
    /// The device's answer failed its check.
    WrongResult,
}

impl Reason {
    /// Every reason, in the order of their columns.
    pub const ALL: [Self; 12] = [
        Self::Small,
        Self::Tail,
        Self::Unsupported,
        Self::Policy,
        Self::Refused,
        Self::NoDevice,
        Self::Busy,
        Self::TimeOut,
        Self::Reset,
        Self::Paused,
        Self::DeviceError,
        Self::WrongResult,
    ];

    /// Position in [`Reason::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// The reason's name in every report, e.g. `no-device`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Tail => "tail",
            Self::Unsupported => "unsupported",
            Self::Policy => "policy",
            Self::Refused => "refused",
            Self::NoDevice => "no-device",
            Self::Busy => "busy",
            Self::TimeOut => "time-out",
            Self::Reset => "reset",
            Self::Paused => "paused",
            Self::DeviceError => "device-error",
            Self::WrongResult => "wrong-result",
        }
    }

    /// True for reasons that are nobody's fault: software is where such requests belong.
    pub fn is_design(self) -> bool {
        matches!(self, Self::Small | Self::Tail | Self::Unsupported | Self::Policy | Self::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_the_position_in_all() {
        for (position, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), position, "{reason:?}");
        }
    }

    #[test]
    fn names_are_distinct() {
        let names: std::collections::BTreeSet<_> = Reason::ALL.map(Reason::name).into();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
