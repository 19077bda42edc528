//! The elements of a description, written and read by the same table.

use quick_xml::{
    Reader, Writer, XmlVersion,
    escape::resolve_predefined_entity,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: &'static str,
    pub(super) attributes: Vec<(&'static str, String)>,
    pub(super) children: Vec<Element>,
    pub(super) text: String,
}

/// The value of an attribute: a text or a number.
pub(super) struct Value(String);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self(text.clone())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self(number.to_string())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

/// An element that may be in a description.
struct Known {
    name: &'static str,
    attributes: &'static [&'static str],
    children: &'static [&'static str],
}

const fn known(
    name: &'static str,
    attributes: &'static [&'static str],
    children: &'static [&'static str],
) -> Known {
    Known { name, attributes, children }
}

const DESCRIPTOR: &[&str] = &["schemeIdUri", "value"];

/// All elements that are written, with their attributes and children (ISO/IEC 23009-1, annex B).
const KNOWN: &[Known] = &[
    known(
        "MPD",
        &["xmlns", "xmlns:cenc", "profiles", "type", "mediaPresentationDuration", "minBufferTime"],
        &["Period"],
    ),
    known("Period", &["id", "start"], &["AdaptationSet"]),
    known(
        "AdaptationSet",
        &[
            "id",
            "contentType",
            "mimeType",
            "lang",
            "profiles",
            "maxWidth",
            "maxHeight",
            "segmentAlignment",
            "subsegmentAlignment",
            "startWithSAP",
            "subsegmentStartsWithSAP",
            "codingDependency",
        ],
        &[
            "ContentProtection",
            "EssentialProperty",
            "SupplementalProperty",
            "Label",
            "Accessibility",
            "Role",
            "Representation",
        ],
    ),
    known(
        "Representation",
        &["id", "codecs", "bandwidth", "width", "height", "sar", "frameRate", "audioSamplingRate"],
        &["AudioChannelConfiguration", "BaseURL", "SegmentBase", "SegmentList", "SegmentTemplate"],
    ),
    known("AudioChannelConfiguration", DESCRIPTOR, &[]),
    known("ContentProtection", &["schemeIdUri", "value", "cenc:default_KID"], &[]),
    known("EssentialProperty", DESCRIPTOR, &[]),
    known("SupplementalProperty", DESCRIPTOR, &[]),
    known("Accessibility", DESCRIPTOR, &[]),
    known("Role", DESCRIPTOR, &[]),
    known("Label", &[], &[]),
    known("BaseURL", &[], &[]),
    known("SegmentBase", &["timescale", "indexRange"], &["Initialization"]),
    known("SegmentList", &["timescale", "duration"], &["Initialization", "SegmentTimeline", "SegmentURL"]),
    known("SegmentTemplate", &["timescale", "initialization", "media", "startNumber"], &["SegmentTimeline"]),
    known("Initialization", &["sourceURL", "range"], &[]),
    known("SegmentURL", &["media", "mediaRange"], &[]),
    known("SegmentTimeline", &[], &["S"]),
    known("S", &["t", "d", "r"], &[]),
];

/// Elements that hold text, and no other.
const TEXTS: [&str; 2] = ["Label", "BaseURL"];

/// The deepest that elements are within each other: those of `S`.
const DEEPEST: usize = 7;

impl Element {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    /// Adds an attribute.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((name, value.into().0));
        self
    }

    /// Adds an attribute, unless its value is empty.
    pub(super) fn maybe(self, name: &'static str, value: &str) -> Self {
        if value.is_empty() { self } else { self.with(name, value) }
    }

    /// Adds children.
    pub(super) fn containing(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children);
        self
    }

    /// An element with text alone.
    pub(super) fn text(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, text: text.into(), ..Self::default() }
    }

    /// An element that says something by a scheme.
    pub(super) fn descriptor(name: &'static str, scheme: &str, value: impl Into<Value>) -> Self {
        Self::new(name).with("schemeIdUri", scheme).with("value", value)
    }

    /// Returns an attribute that may be missing.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Returns an attribute that must be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, String> {
        self.attribute(name).ok_or_else(|| format!("{} has no {name}", self.name))
    }

    /// Returns the children of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Returns the one child of a name, if it is there.
    pub(super) fn one(&self, name: &str) -> Result<Option<&Element>, String> {
        let mut all = self.children.iter().filter(|child| child.name == name);
        let first = all.next();
        if all.next().is_some() { Err(format!("{} has two of {name}", self.name)) } else { Ok(first) }
    }

    /// Writes a document with a comment in front of its root.
    pub(super) fn document(&self, comment: &str) -> std::io::Result<String> {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        if !comment.is_empty() {
            writer.write_event(Event::Comment(BytesText::from_escaped(format!(" {comment} "))))?;
        }
        self.write(&mut writer)?;
        let text = String::from_utf8(writer.into_inner()).map_err(std::io::Error::other)?;
        Ok(text + "\n")
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        let mut start = BytesStart::new(self.name);
        for (name, value) in &self.attributes {
            start.push_attribute((*name, value.as_str()));
        }
        if self.children.is_empty() && self.text.is_empty() {
            return writer.write_event(Event::Empty(start));
        }
        writer.write_event(Event::Start(start))?;
        if !self.text.is_empty() {
            writer.write_event(Event::Text(BytesText::new(&self.text)))?;
        }
        for child in &self.children {
            child.write(writer)?;
        }
        writer.write_event(Event::End(BytesEnd::new(self.name)))
    }

    /// Reads a document of known elements and attributes. It has no document type, no processing instructions and no entities of its own.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Element> = Vec::new();
        let mut root = None;
        loop {
            let at = reader.buffer_position();
            let broken = |reason: String| format!("at byte {at}: {reason}");
            match reader.read_event().map_err(|error| broken(error.to_string()))? {
                Event::Decl(_) if at == 0 => {}
                Event::Comment(_) => {}
                Event::Start(start) => {
                    if open.len() == DEEPEST || root.is_some() {
                        return Err(broken("an element too many".into()));
                    }
                    open.push(Self::begin(&start, open.last()).map_err(broken)?);
                }
                Event::Empty(start) => {
                    let element = Self::begin(&start, open.last()).map_err(broken)?;
                    let parent = open.last_mut().ok_or_else(|| broken("the root is empty".into()))?;
                    parent.children.push(element);
                }
                Event::End(_) => match (open.pop(), open.last_mut()) {
                    (Some(element), Some(parent)) => parent.children.push(element),
                    (element, _) => root = element,
                },
                Event::Text(text) => {
                    let text = text
                        .xml_content(XmlVersion::Implicit1_0)
                        .map_err(|error| broken(error.to_string()))?;
                    Self::append(open.last_mut(), &text).map_err(broken)?;
                }
                Event::GeneralRef(entity) => {
                    let name = entity.decode().map_err(|error| broken(error.to_string()))?;
                    let text =
                        resolve_predefined_entity(&name).ok_or_else(|| broken(format!("entity '{name}'")))?;
                    Self::append(open.last_mut(), text).map_err(broken)?;
                }
                Event::Eof => break,
                _ => return Err(broken("it isn't an element, a text or a comment".into())),
            }
        }
        root.filter(|_| open.is_empty()).ok_or_else(|| "it is cut off".into())
    }

    /// Adds text to the element that is open. Between elements there is space alone.
    fn append(open: Option<&mut Element>, text: &str) -> Result<(), String> {
        match open {
            Some(element) if TEXTS.contains(&element.name) => element.text.push_str(text),
            _ if text.trim().is_empty() => {}
            _ => return Err(format!("the text '{text}'")),
        }
        Ok(())
    }

    fn begin(start: &BytesStart, parent: Option<&Element>) -> Result<Self, String> {
        let name = start.name();
        let name = std::str::from_utf8(name.as_ref()).map_err(|error| error.to_string())?;
        let found = KNOWN.iter().find(|known| known.name == name);
        let known = found.ok_or_else(|| format!("the element {name} is unknown"))?;
        let may_be = match parent {
            None => name == "MPD",
            Some(parent) => {
                KNOWN.iter().any(|known| known.name == parent.name && known.children.contains(&name))
            }
        };
        if !may_be {
            return Err(format!("the element {name} is unknown here"));
        }
        let mut element = Self::new(known.name);
        // A name that is there twice is an error of the iterator's.
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let key = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
            let Some(key) = known.attributes.iter().find(|known| **known == key) else {
                return Err(format!("{name} has the unknown attribute {key}"));
            };
            let value =
                attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
            element.attributes.push((key, value.into_owned()));
        }
        Ok(element)
    }
}
