//! The interface of `sample-engine`, by `#[export] impl`.

use hotswap_module::export;
use sample_interface::{Point, Sample, Shape, World};

hotswap_module::module!();

#[export]
impl Sample for Exports {
    fn f1() {}

    fn f2() {}

    fn add(a: u64, b: u64) -> u64 {
        a + b
    }

    fn greet(name: &str) -> String {
        format!("hello, {name}")
    }

    fn step(world: &mut World) {
        world.tick += 1;
        for point in &mut world.points {
            point.x += 1.0;
        }
    }

    fn area(shape: &Shape) -> f64 {
        match shape {
            Shape::Circle { radius } => std::f64::consts::PI * radius * radius,
            Shape::Rectangle(width, height) => width * height,
            Shape::Empty => 0.0,
        }
    }

    fn midpoint(a: Point, b: Point) -> Point {
        Point { x: f64::midpoint(a.x, b.x), y: f64::midpoint(a.y, b.y) }
    }
}
