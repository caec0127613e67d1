//! A plot of bars that are made of parts.

use plotters::prelude::{PathElement, Rectangle};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, ShapeStyle};

use super::axis::Axis;
use super::canvas::{BOLD, Canvas, PLAIN, SMALL, WIDTH, headline, picture, write};
use super::palette::{GRID, Hue};
use super::quantity::time;
use crate::Outcome;

/// Horizontal bars of seconds, each from 0.
#[derive(Debug)]
pub(super) struct BarPlot {
    pub(super) title: String,
    pub(super) subtitle: String,
    pub(super) axis: Axis,
    /// What the colours of parts mean.
    pub(super) legend: Vec<(&'static str, Hue)>,
    pub(super) bars: Vec<Bar>,
}

/// One bar.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) name: String,
    /// Whether it begins a group.
    pub(super) is_first: bool,
    pub(super) parts: Vec<(f64, Hue)>,
}

const LEFT: i32 = 250;
const RIGHT: i32 = WIDTH - 96;
const TOP: i32 = 104;
const BAR_HEIGHT: i32 = 20;
const GAP: i32 = 7;
const GROUP_GAP: i32 = 16;
/// What a letter of the legend is wide, about.
const LETTER: i32 = 8;

impl BarPlot {
    pub(super) fn svg(&self) -> String {
        let groups = self.bars.iter().filter(|bar| bar.is_first).count();
        let bars = i32::try_from(self.bars.len()).unwrap_or(0);
        let bottom =
            TOP + bars * (BAR_HEIGHT + GAP) + i32::try_from(groups).unwrap_or(0) * GROUP_GAP;
        picture(bottom + 56, &self.title, |canvas| {
            headline(canvas, &self.title, &self.subtitle)?;
            self.draw_legend(canvas)?;
            let grid = ShapeStyle::from(&GRID.light).stroke_width(1);
            for (value, label) in &self.axis.ticks {
                let x = self.place(*value);
                canvas.draw(&PathElement::new(vec![(x, TOP), (x, bottom)], grid))?;
                write(canvas, label, (x, bottom + 7), SMALL, (HPos::Center, VPos::Top))?;
            }
            let middle = ((LEFT + RIGHT) / 2, bottom + 28);
            write(canvas, &self.axis.name, middle, PLAIN, (HPos::Center, VPos::Top))?;
            self.draw_bars(canvas)
        })
    }

    fn place(&self, value: f64) -> i32 {
        LEFT + (self.axis.place(value) * f64::from(RIGHT - LEFT)).round() as i32
    }

    fn draw_legend(&self, canvas: &Canvas<'_>) -> Outcome<()> {
        let mut x = 16;
        for (name, hue) in &self.legend {
            canvas.draw(&Rectangle::new([(x, 70), (x + 12, 82)], hue.light.filled()))?;
            write(canvas, name, (x + 18, 76), PLAIN, (HPos::Left, VPos::Center))?;
            x += 38 + LETTER * i32::try_from(name.len()).unwrap_or(0);
        }
        Ok(())
    }

    fn draw_bars(&self, canvas: &Canvas<'_>) -> Outcome<()> {
        let mut y = TOP;
        for bar in &self.bars {
            if bar.is_first {
                y += GROUP_GAP;
            }
            let middle = y + BAR_HEIGHT / 2;
            write(canvas, &bar.name, (LEFT - 12, middle), PLAIN, (HPos::Right, VPos::Center))?;
            let mut total = 0.0;
            for (value, hue) in &bar.parts {
                let (from, to) = (self.place(total), self.place(total + value));
                total += value;
                let corners = [(from, y), (to, y + BAR_HEIGHT)];
                canvas.draw(&Rectangle::new(corners, hue.light.filled()))?;
            }
            let end = (self.place(total) + 8, middle);
            write(canvas, &time(total), end, BOLD, (HPos::Left, VPos::Center))?;
            y += BAR_HEIGHT + GAP;
        }
        Ok(())
    }
}
