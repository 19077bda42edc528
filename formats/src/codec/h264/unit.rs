//! Types of units (NAL units).

use crate::units::Framing;

/// Types of units (ITU-T H.264, table 7-1).
pub(super) const IDR_PICTURE: u8 = 5;
pub(super) const ENHANCEMENT: u8 = 6;
pub(super) const SEQUENCE_PARAMETERS: u8 = 7;
pub(super) const PICTURE_PARAMETERS: u8 = 8;
pub(super) const DELIMITER: u8 = 9;

/// The type of the message (SEI) that names a point to recover at (D.2.8).
pub(super) const RECOVERY_POINT: u8 = 6;

pub(super) fn is_of_type(unit: &[u8], kind: u8) -> bool {
    unit.first().is_some_and(|byte| byte & 31 == kind)
}

pub(super) const FRAMING: Framing = Framing {
    is_delimiter: |unit| is_of_type(unit, DELIMITER),
    is_header: |unit| is_of_type(unit, SEQUENCE_PARAMETERS) || is_of_type(unit, PICTURE_PARAMETERS),
};
