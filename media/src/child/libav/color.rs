//! Colour as libav's enums.

use ffmpeg_next::ffi::{
    AVChromaLocation, AVColorPrimaries, AVColorRange, AVColorSpace, AVColorTransferCharacteristic,
};
use millrace_schemas::Color;

/// A colour by libav's enums. Code points of H.273 that libav has no value for are unspecified.
pub(crate) struct LibavColor {
    pub(crate) primaries: AVColorPrimaries,
    pub(crate) transfer: AVColorTransferCharacteristic,
    pub(crate) matrix: AVColorSpace,
    pub(crate) range: AVColorRange,
    pub(crate) chroma: AVChromaLocation,
}

const PRIMARIES: [AVColorPrimaries; 12] = {
    use AVColorPrimaries::*;
    [
        AVCOL_PRI_BT709,
        AVCOL_PRI_UNSPECIFIED,
        AVCOL_PRI_BT470M,
        AVCOL_PRI_BT470BG,
        AVCOL_PRI_SMPTE170M,
        AVCOL_PRI_SMPTE240M,
        AVCOL_PRI_FILM,
        AVCOL_PRI_BT2020,
        AVCOL_PRI_SMPTE428,
        AVCOL_PRI_SMPTE431,
        AVCOL_PRI_SMPTE432,
        AVCOL_PRI_EBU3213,
    ]
};

const TRANSFERS: [AVColorTransferCharacteristic; 17] = {
    use AVColorTransferCharacteristic::*;
    [
        AVCOL_TRC_BT709,
        AVCOL_TRC_UNSPECIFIED,
        AVCOL_TRC_GAMMA22,
        AVCOL_TRC_GAMMA28,
        AVCOL_TRC_SMPTE170M,
        AVCOL_TRC_SMPTE240M,
        AVCOL_TRC_LINEAR,
        AVCOL_TRC_LOG,
        AVCOL_TRC_LOG_SQRT,
        AVCOL_TRC_IEC61966_2_4,
        AVCOL_TRC_BT1361_ECG,
        AVCOL_TRC_IEC61966_2_1,
        AVCOL_TRC_BT2020_10,
        AVCOL_TRC_BT2020_12,
        AVCOL_TRC_SMPTE2084,
        AVCOL_TRC_SMPTE428,
        AVCOL_TRC_ARIB_STD_B67,
    ]
};

const MATRICES: [AVColorSpace; 14] = {
    use AVColorSpace::*;
    [
        AVCOL_SPC_RGB,
        AVCOL_SPC_BT709,
        AVCOL_SPC_UNSPECIFIED,
        AVCOL_SPC_FCC,
        AVCOL_SPC_BT470BG,
        AVCOL_SPC_SMPTE170M,
        AVCOL_SPC_SMPTE240M,
        AVCOL_SPC_YCGCO,
        AVCOL_SPC_BT2020_NCL,
        AVCOL_SPC_BT2020_CL,
        AVCOL_SPC_SMPTE2085,
        AVCOL_SPC_CHROMA_DERIVED_NCL,
        AVCOL_SPC_CHROMA_DERIVED_CL,
        AVCOL_SPC_ICTCP,
    ]
};

impl LibavColor {
    /// Returns the values of a colour's code points.
    pub(crate) fn of(color: Color) -> Self {
        let primaries = PRIMARIES.into_iter().find(|known| *known as i32 == color.primaries);
        let transfer = TRANSFERS.into_iter().find(|known| *known as i32 == color.transfer);
        let matrix = MATRICES.into_iter().find(|known| *known as i32 == color.matrix);
        Self {
            primaries: primaries.unwrap_or(AVColorPrimaries::AVCOL_PRI_UNSPECIFIED),
            transfer: transfer.unwrap_or(AVColorTransferCharacteristic::AVCOL_TRC_UNSPECIFIED),
            matrix: matrix.unwrap_or(AVColorSpace::AVCOL_SPC_UNSPECIFIED),
            range: match color.range {
                1 => AVColorRange::AVCOL_RANGE_MPEG,
                2 => AVColorRange::AVCOL_RANGE_JPEG,
                _ => AVColorRange::AVCOL_RANGE_UNSPECIFIED,
            },
            chroma: match color.chroma {
                1 => AVChromaLocation::AVCHROMA_LOC_LEFT,
                2 => AVChromaLocation::AVCHROMA_LOC_CENTER,
                3 => AVChromaLocation::AVCHROMA_LOC_TOPLEFT,
                _ => AVChromaLocation::AVCHROMA_LOC_UNSPECIFIED,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_point_is_libavs_value_of_that_number_or_unspecified() {
        let numbers = |n: i32| {
            let color = LibavColor::of(Color { primaries: n, transfer: n, matrix: n, range: n, chroma: n });
            (color.primaries as i32, color.transfer as i32, color.matrix as i32)
        };
        for n in -1..30 {
            let known = |is_known: bool| if is_known { n } else { 2 };
            let primaries = known(matches!(n, 1..=12 | 22) && n != 3);
            let transfer = known((1..=18).contains(&n) && n != 3);
            let matrix = known((0..=14).contains(&n) && n != 3);
            assert_eq!(numbers(n), (primaries, transfer, matrix), "{n}");
        }
    }
}
