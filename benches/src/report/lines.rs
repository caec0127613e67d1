//! A plot of lines.

use plotters::prelude::{Circle, PathElement, Polygon};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, ShapeStyle};

use super::axis::Axis;
use super::canvas::{BOLD, Canvas, Ink, PLAIN, SMALL, headline, picture, write};
use super::palette::{GRID, Hue};
use crate::{Outcome, Samples};

/// A plot of lines, each named at its right end.
#[derive(Debug)]
pub(super) struct LinePlot {
    pub(super) title: String,
    /// How to read it: what is better.
    pub(super) subtitle: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
}

/// One line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) hue: Hue,
    pub(super) is_dashed: bool,
    pub(super) points: Vec<Point>,
}

/// What was measured at one place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Between what nine of ten readings lie.
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Point {
    pub(super) const fn exact(x: f64, y: f64) -> Self {
        Self { x, y, low: y, high: y }
    }

    /// The median of samples, in multiples of something.
    pub(super) fn of(x: f64, samples: &Samples, per: f64) -> Self {
        let [low, y, high] = [0.05, 0.5, 0.95].map(|share| samples.quantile(share) / per);
        Self { x, y, low, high }
    }
}

/// The whole picture.
const HEIGHT: i32 = 430;
/// The part that is plotted in.
const LEFT: i32 = 84;
const RIGHT: i32 = 690;
const TOP: i32 = 92;
const BOTTOM: i32 = 376;
/// Between the names of two lines.
const NAME_HEIGHT: i32 = 17;

impl LinePlot {
    pub(super) fn svg(&self) -> String {
        picture(HEIGHT, &self.title, |canvas| {
            headline(canvas, &self.title, &self.subtitle)?;
            self.draw_axes(canvas)?;
            for line in &self.lines {
                self.draw_line(canvas, line)?;
            }
            self.draw_names(canvas)
        })
    }

    fn place_x(&self, value: f64) -> i32 {
        LEFT + (self.x.place(value) * f64::from(RIGHT - LEFT)).round() as i32
    }

    fn place_y(&self, value: f64) -> i32 {
        BOTTOM - (self.y.place(value) * f64::from(BOTTOM - TOP)).round() as i32
    }

    fn draw_axes(&self, canvas: &Canvas<'_>) -> Outcome<()> {
        let grid = ShapeStyle::from(&GRID.light).stroke_width(1);
        for (value, label) in &self.y.ticks {
            let y = self.place_y(*value);
            canvas.draw(&PathElement::new(vec![(LEFT, y), (RIGHT, y)], grid))?;
            write(canvas, label, (LEFT - 10, y), SMALL, (HPos::Right, VPos::Center))?;
        }
        for (value, label) in &self.x.ticks {
            let x = self.place_x(*value);
            canvas.draw(&PathElement::new(vec![(x, TOP), (x, BOTTOM)], grid))?;
            write(canvas, label, (x, BOTTOM + 8), SMALL, (HPos::Center, VPos::Top))?;
        }
        write(canvas, &self.y.name, (16, TOP - 24), PLAIN, (HPos::Left, VPos::Top))?;
        let middle = ((LEFT + RIGHT) / 2, BOTTOM + 30);
        write(canvas, &self.x.name, middle, PLAIN, (HPos::Center, VPos::Top))
    }

    fn draw_line(&self, canvas: &Canvas<'_>, line: &Line) -> Outcome<()> {
        let at = |point: &Point, y: f64| (self.place_x(point.x), self.place_y(y));
        let upper = line.points.iter().map(|point| at(point, point.high));
        let lower = line.points.iter().rev().map(|point| at(point, point.low));
        if line.points.iter().any(|point| point.high > point.low) {
            let band = line.hue.light.mix(0.14).filled();
            canvas.draw(&Polygon::new(upper.chain(lower).collect::<Vec<_>>(), band))?;
        }
        let stroke = ShapeStyle::from(&line.hue.light).stroke_width(2);
        let path: Vec<_> = line.points.iter().map(|point| at(point, point.y)).collect();
        if line.is_dashed {
            for dash in dashes(&path) {
                canvas.draw(&PathElement::new(dash.to_vec(), stroke))?;
            }
        } else {
            canvas.draw(&PathElement::new(path.clone(), stroke))?;
        }
        if path.len() <= 12 {
            for point in path {
                canvas.draw(&Circle::new(point, 4, line.hue.light.filled()))?;
            }
        }
        Ok(())
    }

    /// At the right end of each line, moved apart where two would cover each other.
    fn draw_names(&self, canvas: &Canvas<'_>) -> Outcome<()> {
        let end = |line: &Line| line.points.last().map_or(BOTTOM, |point| self.place_y(point.y));
        let mut names: Vec<_> = self.lines.iter().map(|line| (end(line), line)).collect();
        names.sort_by_key(|(y, _)| *y);
        for next in 1..names.len() {
            names[next].0 = names[next].0.max(names[next - 1].0 + NAME_HEIGHT);
        }
        let over = names.last().map_or(0, |(y, _)| (y - BOTTOM).max(0));
        for (index, (y, line)) in names.iter().enumerate() {
            let above = names.len() - 1 - index;
            let highest = BOTTOM - i32::try_from(above).unwrap_or(0) * NAME_HEIGHT;
            let y = if over > 0 { (*y).min(highest) } else { *y };
            let anchor = (HPos::Left, VPos::Center);
            write(canvas, &line.name, (RIGHT + 12, y), Ink { hue: line.hue, ..BOLD }, anchor)?;
        }
        Ok(())
    }
}

/// A path in pieces of six pixels with four between them.
fn dashes(path: &[(i32, i32)]) -> Vec<[(i32, i32); 2]> {
    let mut dashes = Vec::new();
    for ends in path.windows(2) {
        let (from, to) = (ends[0], ends[1]);
        let (dx, dy) = (f64::from(to.0 - from.0), f64::from(to.1 - from.1));
        let length = dx.hypot(dy);
        let at = |along: f64| {
            let share = (along / length).min(1.0);
            (from.0 + (dx * share).round() as i32, from.1 + (dy * share).round() as i32)
        };
        let count = (length / 10.0).ceil() as usize;
        dashes.extend((0..count).map(|n| [at(n as f64 * 10.0), at(n as f64 * 10.0 + 6.0)]));
    }
    dashes
}
