//! Sets text: shapes it, breaks its lines, and draws it as white letters with a black outline. Pure: fonts are bytes, and none of the
//! system is looked for.

use std::sync::Arc;

use cosmic_text::{
    Align, Attrs, Buffer, Command, Family, FontSystem, Metrics, Shaping, SwashCache, Wrap,
    fontdb::{Database, Language, Source, Stretch, Style, Weight},
};
use zeno::{Fill, Join, Mask, Stroke, Vector};

/// The font that is there where no other is asked for, and has what another one lacks.
const USUAL_FONT: &[u8] = include_bytes!("../fonts/DejaVuSans.ttf");
/// The names under which the fonts are known here, whatever they call themselves.
const ASKED: &str = "asked for";
const USUAL: &str = "usual";
/// The distance of lines, in heights of the font.
const LINE_HEIGHT: f32 = 1.2;
/// How wide the outline is on each side of a letter's edge, in heights of the font, and the least in pixels.
const OUTLINE: f32 = 1.0 / 16.0;
const LEAST_OUTLINE: f32 = 1.0;
/// What letters may reach out of their lines on each side, in heights of the font: accents over accents, and the outline.
const OVERHANG: f32 = 0.4;
/// The longest text that is set, in characters: more than a frame shows that can be read.
const LONGEST: usize = 2000;
/// The most points of all letters of a text: letters of usual fonts have less than a hundred.
const MOST_POINTS: usize = 1 << 20;
/// How far the points of a letter may be from its origin, in heights of the font.
const FARTHEST: f32 = 16.0;

/// Where lines are, if they are narrower than the widest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// At the left.
    Left,
    /// In the middle.
    Center,
    /// At the right.
    Right,
}

/// How a text is set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setting {
    /// The height of the font, in pixels.
    pub size: f32,
    /// The greatest width and height of all lines, in pixels.
    pub within: (f32, f32),
    /// Where lines are that are narrower than the widest.
    pub side: Side,
    /// How wide a pixel is, in heights of it.
    pub aspect: f32,
}

/// A text as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lettering {
    /// The width, in pixels.
    pub width: usize,
    /// The height, in pixels.
    pub height: usize,
    /// How far the lines are from each edge, in pixels: what is there are outlines and accents.
    pub overhang: usize,
    /// Red, green, blue and alpha of each pixel, row by row.
    pub pixels: Vec<[u8; 4]>,
}

/// Sets texts in one font.
pub struct Typesetter {
    fonts: FontSystem,
    letters: SwashCache,
    family: &'static str,
}

impl Typesetter {
    /// Returns one that sets texts in this font, or in the usual one. What the font lacks is taken from the usual one.
    ///
    /// # Errors
    /// If it is no font.
    pub fn new(font: Option<Arc<Vec<u8>>>) -> Result<Self, String> {
        let mut database = Database::new();
        let family = if font.is_some() { ASKED } else { USUAL };
        if let Some(font) = font {
            millrace_formats::asset::check_font(&font)?;
            add(&mut database, Source::Binary(font), ASKED)?;
        }
        add(&mut database, Source::Binary(Arc::new(USUAL_FONT)), USUAL)?;
        let mut fonts = FontSystem::new_with_locale_and_db("en".into(), database);
        let ids: Vec<_> = fonts.db().faces().map(|face| face.id).collect();
        if ids.into_iter().any(|id| fonts.get_font(id, Weight::NORMAL).is_none()) {
            return Err("it is a font that can't be read".into());
        }
        Ok(Self { fonts, letters: SwashCache::new(), family })
    }

    /// Draws a text; `None` if nothing of it can be seen. Lines that do not fit are left out at the end.
    pub fn set(&mut self, text: &str, setting: Setting) -> Option<Lettering> {
        let Setting { size, within: (width, height), side, aspect } = setting;
        let text: String = text.chars().filter(|c| !c.is_control() || *c == '\n').take(LONGEST).collect();
        let line = size * LINE_HEIGHT;
        let mut buffer = Buffer::new(&mut self.fonts, Metrics::new(size, line));
        buffer.set_wrap(Wrap::WordOrGlyph);
        buffer.set_size(Some((width * aspect).max(1.0)), None);
        let attributes = Attrs::new().family(Family::Name(self.family));
        // Each line is moved to its side below, in a text from right to left, too.
        buffer.set_text(&text, &attributes, Shaping::Advanced, Some(Align::Left));
        buffer.shape_until_scroll(&mut self.fonts, false);
        let most = ((height / line) as usize).max(1);
        let mut lines: Vec<(Vec<Command>, f32, f32)> = Vec::new();
        let mut points = 0;
        for run in buffer.layout_runs().take(most) {
            let (mut path, mut left, mut right) = (Vec::new(), f32::MAX, f32::MIN);
            for glyph in run.glyphs {
                let physical = glyph.physical((0.0, 0.0), 1.0);
                let mut key = physical.cache_key;
                (key.x_bin, key.y_bin) = (cosmic_text::SubpixelBin::Zero, cosmic_text::SubpixelBin::Zero);
                let at = (glyph.x + glyph.x_offset * glyph.font_size, physical.y as f32 + run.line_y.round());
                let outline = self.letters.get_outline_commands(&mut self.fonts, key);
                let outline = outline.filter(|outline| outline.iter().all(|c| is_near(c, FARTHEST * size)));
                // A space at the end of a line is no part of it.
                let Some(outline) = outline.filter(|outline| !outline.is_empty()) else { continue };
                left = left.min(glyph.x / aspect);
                right = right.max((glyph.x + glyph.w) / aspect);
                points += outline.len();
                if points > MOST_POINTS {
                    return None;
                }
                let moved = |point: Vector| Vector::new((at.0 + point.x) / aspect, at.1 - point.y);
                path.extend(outline.iter().map(|command| map(command, moved)));
            }
            lines.push((path, left, right));
        }
        let widest = lines.iter().map(|(_, left, right)| right - left).fold(0.0, f32::max).min(width);
        let overhang = (size * OVERHANG).ceil();
        let whole = ((widest + 2.0 * overhang).ceil(), (lines.len() as f32 * line + 2.0 * overhang).ceil());
        let mut path = Vec::new();
        for (line, left, right) in lines {
            let room = (widest - (right - left)).max(0.0);
            let before = match side {
                Side::Left => 0.0,
                Side::Center => room / 2.0,
                Side::Right => room,
            };
            let moved = |point: Vector| Vector::new(point.x - left + before + overhang, point.y + overhang);
            path.extend(line.iter().map(|command| map(command, moved)));
        }
        let drawn = draw(&path, whole, (size * OUTLINE).max(LEAST_OUTLINE));
        drawn.map(|pixels| Lettering {
            width: whole.0 as usize,
            height: whole.1 as usize,
            overhang: overhang as usize,
            pixels,
        })
    }
}

/// Adds the first font of a source under this name, so that it is found by it whatever its weight is.
fn add(database: &mut Database, source: Source, name: &str) -> Result<(), String> {
    let ids = database.load_font_source(source);
    let first = ids.first().and_then(|id| database.face(*id).cloned());
    let mut face = first.ok_or("it is a font that can't be read")?;
    ids.iter().for_each(|id| database.remove_face(*id));
    face.families = vec![(name.to_owned(), Language::English_UnitedStates)];
    (face.style, face.weight, face.stretch) = (Style::Normal, Weight::NORMAL, Stretch::Normal);
    name.clone_into(&mut face.post_script_name);
    database.push_face_info(face);
    Ok(())
}

/// Draws a path of letters in a picture of this size; `None` if nothing of it can be seen.
fn draw(path: &[Command], (width, height): (f32, f32), outline: f32) -> Option<Vec<[u8; 4]>> {
    let (columns, rows) = (width as u32, height as u32);
    let mut letters = vec![0; columns as usize * rows as usize];
    let mut around = letters.clone();
    Mask::new(path).style(Fill::NonZero).size(columns, rows).render_into(&mut letters, None);
    let mut stroke = Stroke::new(2.0 * outline);
    stroke.join(Join::Round);
    Mask::new(path).style(stroke).size(columns, rows).render_into(&mut around, None);
    if letters.iter().chain(&around).all(|share| *share == 0) {
        return None;
    }
    let pixel = |(letter, around): (&u8, &u8)| {
        let (letter, around) = (u32::from(*letter), u32::from(*around));
        // The letter lies over its outline.
        let alpha = letter + around * (255 - letter) / 255;
        let level = (letter * 255).checked_div(alpha).unwrap_or(0).min(255) as u8;
        [level, level, level, alpha.min(255) as u8]
    };
    Some(letters.iter().zip(&around).map(pixel).collect())
}

/// Returns a command with its points moved.
fn map(command: &Command, moved: impl Fn(Vector) -> Vector) -> Command {
    match *command {
        Command::MoveTo(to) => Command::MoveTo(moved(to)),
        Command::LineTo(to) => Command::LineTo(moved(to)),
        Command::QuadTo(by, to) => Command::QuadTo(moved(by), moved(to)),
        Command::CurveTo(by, and, to) => Command::CurveTo(moved(by), moved(and), moved(to)),
        Command::Close => Command::Close,
    }
}

/// Returns `true` if the points of a command are at most so far from the origin.
fn is_near(command: &Command, most: f32) -> bool {
    let near = |point: &Vector| point.x.abs() <= most && point.y.abs() <= most;
    match command {
        Command::MoveTo(to) | Command::LineTo(to) => near(to),
        Command::QuadTo(by, to) => near(by) && near(to),
        Command::CurveTo(by, and, to) => near(by) && near(and) && near(to),
        Command::Close => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(size: f32, width: f32) -> Setting {
        Setting { size, within: (width, 1000.0), side: Side::Center, aspect: 1.0 }
    }

    fn set(text: &str, setting: Setting) -> Option<Lettering> {
        Typesetter::new(None).unwrap().set(text, setting)
    }

    /// Returns the first and last column and row with something in them.
    fn ink(drawn: &Lettering) -> (usize, usize, usize, usize) {
        let mut ink = (usize::MAX, 0, usize::MAX, 0);
        for (at, pixel) in drawn.pixels.iter().enumerate().filter(|(_, pixel)| pixel[3] > 0) {
            let (x, y) = (at % drawn.width, at / drawn.width);
            ink = (ink.0.min(x), ink.1.max(x), ink.2.min(y), ink.3.max(y));
            assert!(pixel[0] == pixel[1] && pixel[1] == pixel[2]);
        }
        ink
    }

    #[test]
    fn letters_are_white_with_a_black_outline() {
        let drawn = set("Il", setting(40.0, 1000.0)).unwrap();
        let row = drawn.height / 2;
        let row = &drawn.pixels[row * drawn.width..(row + 1) * drawn.width];
        let solid: Vec<u8> = row.iter().filter(|pixel| pixel[3] == 255).map(|pixel| pixel[0]).collect();
        assert!(solid.contains(&255) && solid.contains(&0), "{solid:?}");
        assert_eq!(solid.first().zip(solid.last()), Some((&0, &0)));
    }

    #[test]
    fn lines_are_broken_at_the_width_and_left_out_beyond_the_height() {
        let text = "one two three four five six seven eight nine ten";
        let wide = set(text, setting(20.0, 2000.0)).unwrap();
        let narrow = set(text, setting(20.0, 150.0)).unwrap();
        assert!(narrow.width <= 150 + 2 * narrow.overhang + 1, "{}", narrow.width);
        assert!(narrow.height >= wide.height + 2 * 24, "{} {}", narrow.height, wide.height);
        let low = Setting { within: (150.0, 50.0), ..setting(20.0, 150.0) };
        assert_eq!(set(text, low).unwrap().height, 48 + 2 * narrow.overhang);
        let one = set(&"w".repeat(200), setting(20.0, 150.0)).unwrap();
        assert!(one.width <= 150 + 2 * one.overhang + 1, "a word that is too long is broken");
    }

    #[test]
    fn nothing_reaches_beyond_the_picture_and_each_line_is_at_its_side() {
        for text in ["Ǻjgÿ Ậ", "fj\nW", "مرحبا بالعالم", "שלום", "Ελληνικά", "Привет"]
        {
            let drawn = set(text, setting(30.0, 500.0)).unwrap();
            let (left, right, top, bottom) = ink(&drawn);
            assert!(left > 0 && right + 1 < drawn.width && top > 0 && bottom + 1 < drawn.height, "{text}");
        }
        let left = |side| {
            let drawn = set("wwwwwwww\ni", Setting { side, ..setting(30.0, 500.0) }).unwrap();
            let below = drawn.pixels.iter().skip(drawn.width * (drawn.overhang + 40));
            below.enumerate().filter(|(_, pixel)| pixel[3] > 0).map(|(at, _)| at % drawn.width).min().unwrap()
        };
        assert!(left(Side::Left) + 50 < left(Side::Center));
        assert!(left(Side::Center) + 50 < left(Side::Right));
    }

    #[test]
    fn letters_are_narrower_where_pixels_are_wide() {
        let square = set("mmmm", setting(30.0, 500.0)).unwrap();
        let wide = set("mmmm", Setting { aspect: 2.0, ..setting(30.0, 500.0) }).unwrap();
        let (square, wide) = (square.width - 2 * square.overhang, wide.width - 2 * wide.overhang);
        assert!(square.abs_diff(2 * wide) <= 2, "{square} {wide}");
    }

    #[test]
    fn a_text_is_drawn_alike_each_time() {
        let mut typesetter = Typesetter::new(None).unwrap();
        typesetter.set("Other letters before", setting(17.0, 300.0));
        let text = "Grüße aus Köln\nÄÖÜ ß";
        assert_eq!(typesetter.set(text, setting(24.0, 300.0)), set(text, setting(24.0, 300.0)));
    }

    #[test]
    fn nothing_is_drawn_of_a_text_that_can_not_be_seen() {
        for text in ["", " ", "\n\n", "\u{200b}", "\u{7}"] {
            assert_eq!(set(text, setting(24.0, 300.0)), None, "{text:?}");
        }
        assert!(set(&"x ".repeat(100_000), setting(6.0, 300.0)).is_some());
    }

    #[test]
    fn a_font_is_used_as_it_is_asked_for_and_what_is_none_is_refused() {
        let font = Arc::new(USUAL_FONT.to_vec());
        let text = "Grüße";
        let drawn = Typesetter::new(Some(font.clone())).unwrap().set(text, setting(24.0, 300.0));
        assert_eq!(drawn, set(text, setting(24.0, 300.0)));
        let refused = |bytes: &[u8]| Typesetter::new(Some(Arc::new(bytes.to_vec()))).err().unwrap();
        assert!(refused(b"<svg>").contains("known are TrueType"));
        assert!(refused(&font[..2000]).contains("font"), "a broken one");
    }
}
