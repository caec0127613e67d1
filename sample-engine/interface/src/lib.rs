//! What `sample-engine` and its hosts share: an interface, and the types that cross.
//!
//! A host that depends on this crate calls the module's functions as if they were the
//! engine's own methods, without linking the module:
//!
//! ```
//! use hotswap_module::{CallError, Caller};
//! use sample_interface::SampleCalls as _;
//!
//! fn host(engine: &impl Caller) -> Result<u64, CallError> {
//!     engine.f1()?;
//!     engine.add(2, 3)
//! }
//! ```

use hotswap_module::{Abi, interface};

/// What every version of `sample-engine` offers: `.require::<dyn Sample>()` refuses one that does not.
#[interface]
pub trait Sample {
    /// Prints `call to f1`.
    fn f1();
    /// Prints `call to f2`.
    fn f2();
    /// The sum of two numbers.
    fn add(a: u64, b: u64) -> u64;
    /// A greeting for somebody.
    fn greet(name: &str) -> String;
    /// Moves the world on by one tick.
    fn step(world: &mut World);
    /// The area of a shape.
    fn area(shape: &Shape) -> f64;
    /// The point half-way between two others.
    fn midpoint(a: Point, b: Point) -> Point;
}

/// A point in the plane.
#[derive(Debug, Clone, Copy, PartialEq, Abi)]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Upwards.
    pub y: f64,
}

/// The state that a host keeps while the code that moves it is replaced.
#[derive(Debug, Clone, PartialEq, Default, Abi)]
pub struct World {
    /// How often [`Sample::step`] ran.
    pub tick: u64,
    /// What moves in it.
    pub points: Vec<Point>,
}

/// A plane figure.
#[derive(Debug, Clone, PartialEq, Abi)]
pub enum Shape {
    /// Round.
    Circle {
        /// From the centre to the edge.
        radius: f64,
    },
    /// Width and height.
    Rectangle(f64, f64),
    /// Nothing.
    Empty,
}
