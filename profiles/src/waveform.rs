//! Outputs of a picture of the sound's peaks: how large it is, its colours, and what its sound goes through.

use millrace_formats::Container;
use millrace_schemas::WaveformPlan;

use crate::{color::Color, problems::Problems, profile::Output};

/// The widths of waveforms, in pixels.
pub(crate) const WIDTHS: (i32, i32) = (16, 8192);
/// The heights of waveforms, in pixels: two rows for each of eight channels, and as many as memory is held for.
pub(crate) const HEIGHTS: (i32, i32) = (16, 2048);
/// The width and the height if nothing is asked for, in pixels.
pub(crate) const USUAL: (i32, i32) = (1800, 280);
/// The colour of the peaks if nothing is asked for: it is seen on white and on black.
pub(crate) const USUAL_COLOR: Color = Color(0x3b_82_f6_ff);

/// What is asked of a picture of the sound's peaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaveformAsked {
    size: (i32, i32),
    color: Color,
    background: Color,
    split_channels: bool,
}

impl WaveformAsked {
    /// Returns what is made in a container of which nothing is asked; `None` if it holds no waveform.
    pub(crate) fn usual(container: &Container) -> Option<Self> {
        Self::read(container, "", &Output::default(), &mut Problems::default())
    }

    /// Reads what an output asks; `None` if its container holds no waveform.
    pub(crate) fn read(
        container: &Container,
        key: &str,
        output: &Output,
        problems: &mut Problems,
    ) -> Option<Self> {
        let is_waveform = container.is_waveform();
        let others = [
            ("color", output.color.is_some(), is_waveform),
            ("background", output.background.is_some(), is_waveform),
            ("split_channels", output.split_channels, is_waveform),
            ("video", is_waveform && output.video.is_some(), false),
            ("segment", is_waveform && output.segment.is_some(), false),
            ("files", is_waveform && output.files.is_some(), false),
            ("encryption", is_waveform && output.encryption.is_some(), false),
        ];
        for (name, _, _) in others.iter().filter(|(_, is_set, is_known)| *is_set && !is_known) {
            problems.add(
                format!("{key}.{name}"),
                format!("{} has no such key; leave it out, or ask for another format", container.name),
            );
        }
        if !is_waveform {
            return None;
        }
        problems.within(format!("{key}.width"), output.width, WIDTHS, " pixels");
        problems.within(format!("{key}.height"), output.height, HEIGHTS, " pixels");
        Some(Self {
            size: (output.width.unwrap_or(USUAL.0), output.height.unwrap_or(USUAL.1)),
            color: output.color.unwrap_or(USUAL_COLOR),
            background: output.background.unwrap_or(Color(0)),
            split_channels: output.split_channels,
        })
    }

    /// Returns how it is drawn.
    #[must_use]
    pub fn plan(&self) -> WaveformPlan {
        WaveformPlan {
            width: self.size.0,
            height: self.size.1,
            color: i64::from(self.color.0),
            background: i64::from(self.background.0),
            split_channels: self.split_channels,
        }
    }
}
