//! The layers of the sandbox around a media process, and how many of them are required.

use serde::{Deserialize, Serialize};

/// A layer of the sandbox. Each is effective by itself, and is tested by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// All descriptors are closed except those of the task.
    Descriptors,
    /// The process has no capabilities, and set-user-ID bits give it none. It dumps no core, other processes of the same user can't
    /// read its memory, and the kernel ends it first if the machine runs out of memory.
    Privileges,
    /// Resource limits (`setrlimit(2)`) for memory, CPU time, file sizes and descriptors follow from the task.
    Limits,
    /// Empty user, mount, network, process and IPC namespaces.
    Namespaces,
    /// Landlock denies paths, TCP ports, and signals and abstract sockets of other processes.
    Landlock,
    /// seccomp allows the system calls that decoding needs, and ends the process at any other.
    Calls,
    /// A cgroup limits memory and the number of threads, if one is delegated to the parent.
    Cgroup,
}

impl Layer {
    /// All layers, in the order in which a media process applies them.
    pub const ALL: [Self; 7] = [
        Self::Cgroup,
        Self::Descriptors,
        Self::Namespaces,
        Self::Privileges,
        Self::Limits,
        Self::Landlock,
        Self::Calls,
    ];

    /// Returns the name of the layer in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Privileges => "privileges",
            Self::Limits => "limits",
            Self::Namespaces => "namespaces",
            Self::Landlock => "landlock",
            Self::Calls => "calls",
            Self::Cgroup => "cgroup",
        }
    }

    /// Whether media are decoded only in this layer by default. Every Linux that Millrace supports can apply these layers.
    #[must_use]
    pub fn is_mandatory(self) -> bool {
        matches!(self, Self::Descriptors | Self::Privileges | Self::Limits | Self::Calls)
    }
}

/// The layers of the sandbox that are used and required.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sandbox {
    /// Every layer that this machine can apply. The [mandatory](Layer::is_mandatory) ones are required.
    #[default]
    On,
    /// Every layer. All are required.
    Require,
    /// No layer: media are decoded with all rights of this process.
    Off,
}

impl Sandbox {
    /// Returns the layers that a media process tries to apply.
    #[must_use]
    pub fn layers(self) -> &'static [Layer] {
        if self == Self::Off { &[] } else { &Layer::ALL }
    }

    /// Whether a media process must fail if it can't apply this layer.
    #[must_use]
    pub fn needs(self, layer: Layer) -> bool {
        match self {
            Self::Off => false,
            Self::On => layer.is_mandatory(),
            Self::Require => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mandatory_layers_are_required_unless_the_sandbox_is_off() {
        assert!(Sandbox::Off.layers().is_empty() && !Sandbox::Off.needs(Layer::Calls));
        assert!(Sandbox::On.needs(Layer::Calls) && Sandbox::On.needs(Layer::Limits));
        assert!(!Sandbox::On.needs(Layer::Namespaces) && !Sandbox::On.needs(Layer::Cgroup));
        assert!(Layer::ALL.iter().all(|layer| Sandbox::Require.needs(*layer)));
    }
}
