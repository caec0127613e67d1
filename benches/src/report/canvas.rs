//! What pictures are drawn on.

use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, IntoDrawingArea, SVGBackend, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, IntoFont, TextStyle};

use super::html::escaped;
use super::palette::{Hue, INK, MUTED, style};
use crate::Outcome;

/// How wide every picture is, in pixels.
pub(super) const WIDTH: i32 = 880;

pub(super) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws into memory; what is drawn fits light pages and dark ones.
pub(super) fn picture(
    height: i32,
    name: &str,
    draw: impl FnOnce(&Canvas<'_>) -> Outcome<()>,
) -> String {
    let mut svg = String::new();
    let size = (WIDTH.unsigned_abs(), height.unsigned_abs());
    {
        let canvas = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&canvas)
            .and_then(|()| Ok(canvas.present()?))
            .expect("a picture in memory can be drawn");
    }
    let (head, body) = svg.split_once("<svg ").expect("plotters begins with an element");
    let (attributes, body) = body.split_once('>').expect("an element has an end");
    let name = escaped(name);
    let style = style();
    format!(
        "{head}<svg role=\"img\" aria-label=\"{name}\" {attributes}>\n<style>{style}</style>{body}"
    )
}

/// What text looks like.
#[derive(Clone, Copy)]
pub(super) struct Ink {
    pub(super) size: f64,
    pub(super) hue: Hue,
    pub(super) style: FontStyle,
}

/// What matters.
pub(super) const PLAIN: Ink = Ink { size: 13.0, hue: INK, style: FontStyle::Normal };
/// What matters less.
pub(super) const SMALL: Ink = Ink { hue: MUTED, ..PLAIN };
/// What is looked for first.
pub(super) const BOLD: Ink = Ink { style: FontStyle::Bold, ..PLAIN };

pub(super) fn write(
    canvas: &Canvas<'_>,
    text: &str,
    at: (i32, i32),
    ink: Ink,
    anchor: (HPos, VPos),
) -> Outcome<()> {
    let font = ("sans-serif", ink.size, ink.style).into_font();
    let style = TextStyle::from(font).color(&ink.hue.light).pos(Pos::new(anchor.0, anchor.1));
    canvas.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}

/// The title, and how to read it.
pub(super) fn headline(canvas: &Canvas<'_>, title: &str, subtitle: &str) -> Outcome<()> {
    write(canvas, title, (16, 14), Ink { size: 17.0, ..BOLD }, (HPos::Left, VPos::Top))?;
    write(canvas, subtitle, (16, 38), SMALL, (HPos::Left, VPos::Top))
}
