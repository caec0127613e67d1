//! The sample module. Start a host (`cargo run` at the root of the repository), change a line
//! here, save: a moment later the running program executes the new code.

use hotswap_module::export;
use sample_interface::{Point, Shape, World};

hotswap_module::module!();

/// `engine.call("f1")?`
#[export]
pub fn f1() {
    println!("call to f1");
}

/// `engine.call("f2")?`
#[export]
pub fn f2() {
    println!("call to f2");
}

/// `let sum: u64 = engine.call_with("add", (2u64, 3u64))?`
#[export]
pub fn add(a: u64, b: u64) -> u64 {
    a + b
}

// Everything below shows what may cross between a host and its module: owned data both ways,
// borrows as arguments. The types of this crate's interface are in `interface/src/lib.rs`.

/// The number of this version, for hosts and tests that want to see the change.
#[export]
pub fn version() -> u64 {
    1
}

/// A constant is read like a function without arguments: `engine.call_with::<u64>("LIMIT", ())?`
#[export]
pub const LIMIT: u64 = 7;

/// Text in, text out.
#[export]
pub fn greet(name: &str) -> String {
    format!("hello, {name}")
}

/// A borrowed slice.
#[export]
pub fn sum(values: &[u64]) -> u64 {
    values.iter().sum()
}

/// A vector that moves in and comes back: nothing is copied.
#[export]
pub fn sorted(mut values: Vec<i64>) -> Vec<i64> {
    values.sort_unstable();
    values
}

/// State that the host owns and the module changes: it survives every swap.
#[export]
pub fn step(world: &mut World) {
    world.tick += 1;
    for point in &mut world.points {
        point.x += 1.0;
    }
}

/// An enum.
#[export]
pub fn area(shape: &Shape) -> f64 {
    match shape {
        Shape::Circle { radius } => std::f64::consts::PI * radius * radius,
        Shape::Rectangle(width, height) => width * height,
        Shape::Empty => 0.0,
    }
}

/// Structs by value.
#[export]
pub fn midpoint(a: Point, b: Point) -> Point {
    Point { x: f64::midpoint(a.x, b.x), y: f64::midpoint(a.y, b.y) }
}

/// An `Option`: half of an even number.
#[export]
pub fn half(number: u64) -> Option<u64> {
    number.is_multiple_of(2).then_some(number / 2)
}

/// A `Result`: `call_with` hands it over; `call`, which drops results, turns its `Err` into an error of the call.
#[export]
pub fn parse(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|error| format!("{text:?} is not a number: {error}"))
}

// A module is an ordinary library: its functions are called and tested as such.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_plain_rust() {
        f1();
        f2();
        assert_eq!(add(2, 3), 5);
        assert_eq!(greet("you"), "hello, you");
        assert_eq!(sum(&[1, 2, 3]), 6);
        assert_eq!(sorted(vec![3, 1, 2]), [1, 2, 3]);
        assert_eq!(half(8), Some(4));
        assert_eq!(half(7), None);
        assert_eq!(parse(" 42 "), Ok(42));
        assert_eq!(
            parse("x"),
            Err("\"x\" is not a number: invalid digit found in string".to_owned())
        );
    }

    #[test]
    fn shared_types_are_plain_rust() {
        let mut world = World { tick: 0, points: vec![Point { x: 0.0, y: 1.0 }] };
        step(&mut world);
        assert_eq!(world, World { tick: 1, points: vec![Point { x: 1.0, y: 1.0 }] });
        assert_eq!(area(&Shape::Rectangle(2.0, 3.0)).to_bits(), 6.0_f64.to_bits());
        let middle = midpoint(Point { x: 0.0, y: 0.0 }, Point { x: 2.0, y: 4.0 });
        assert_eq!(middle, Point { x: 1.0, y: 2.0 });
    }

    #[test]
    fn everything_is_exported() {
        let names = [
            "LIMIT", "add", "area", "f1", "f2", "greet", "half", "midpoint", "parse", "sorted",
            "step", "sum", "version",
        ];
        assert_eq!(exports().names(), names);
    }

    // Free functions satisfy an interface by name and type; `tests/interface.rs` compares them.
}
