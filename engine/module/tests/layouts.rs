//! What `#[derive(Abi)]` says of types.

#![expect(dead_code, reason = "the types are described, and hardly ever made")]

use std::collections::{BTreeMap, BinaryHeap};
use std::marker::PhantomData;

use hotswap_module::__private::Typed;
use hotswap_module::{Abi, Signature};

/// The text of a type's layout.
fn text<T: Abi>() -> String {
    let signature = Typed::<(), T>::SIGNATURE.text();
    signature.strip_prefix("()->").expect("no arguments").to_owned()
}

fn full_text<T: Abi>() -> String {
    Typed::<(), T>::SIGNATURE.full_text()
}

#[derive(Abi)]
struct Point {
    x: f64,
    y: f64,
}

#[derive(Abi)]
struct Meters(f32, u8);

#[derive(Abi)]
struct Marker;

#[derive(Abi)]
struct Keyword {
    r#type: u8,
}

#[derive(Abi)]
enum Shape {
    Circle { radius: f64 },
    Rectangle(f64, f64),
    Empty,
}

#[derive(Abi)]
enum Color {
    Red = -1,
    Green = 5,
    Blue,
}

#[derive(Abi)]
enum Never {}

#[test]
fn plain_types() {
    assert_eq!(text::<Point>(), "Point{x@0:f64#8/8,y@8:f64#8/8}#16/8");
    assert_eq!(text::<Meters>(), "Meters{0@0:f32#4/4,1@4:u8#1/1}#8/4");
    assert_eq!(text::<Marker>(), "Marker{}#0/1");
    assert_eq!(text::<Keyword>(), "Keyword{type@0:u8#1/1}#1/1");
    assert_eq!(
        text::<Shape>(),
        "Shape{Circle{radius:f64#8/8},Rectangle(f64#8/8,f64#8/8),Empty}#24/8"
    );
    assert_eq!(text::<Color>(), "Color{Red=-1,Green=5,Blue=6}#1/1");
    assert_eq!(text::<Never>(), "Never{}#0/1");
}

#[derive(Abi)]
struct Pair<T, const N: usize> {
    first: T,
    rest: [T; N],
    marker: PhantomData<T>,
}

#[derive(Abi)]
struct Bounded<T: Copy>
where
    T: Ord,
{
    value: T,
}

#[test]
fn generic_types_describe_what_they_were_given() {
    assert_eq!(
        text::<Pair<u16, 3>>(),
        "Pair{first@0:u16#2/2,rest@2:[u16#2/2;3]#6/2,marker@8:PhantomData<u16#2/2>#0/1}#8/2"
    );
    assert_ne!(text::<Pair<u16, 3>>(), text::<Pair<i16, 3>>());
    assert_eq!(text::<Bounded<u8>>(), "Bounded{value@0:u8#1/1}#1/1");
}

#[derive(Abi)]
struct Tree {
    value: u32,
    children: Vec<Tree>,
    parent: Option<Box<Self>>,
    #[expect(unused_qualifications, reason = "a mention may be written so too")]
    named: BTreeMap<String, self::Tree>,
}

#[derive(Abi)]
enum List<T> {
    Cons(T, Box<List<T>>),
    Nil,
}

#[derive(Abi)]
struct Queue {
    waiting: BinaryHeap<Queue>,
}

impl PartialEq for Queue {
    fn eq(&self, other: &Self) -> bool {
        self.waiting.len() == other.waiting.len()
    }
}
impl Eq for Queue {}
impl PartialOrd for Queue {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queue {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.waiting.len().cmp(&other.waiting.len())
    }
}

#[test]
fn a_type_that_contains_itself_mentions_itself() {
    let tree = text::<Tree>();
    assert!(tree.contains("children@") && tree.contains(":Vec<~Tree>#24/8"), "{tree}");
    assert!(tree.contains("Option<Box<~Tree>#8/8>#8/8"), "{tree}");
    assert!(tree.contains("BTreeMap<String#24/8,~Tree>#24/8"), "{tree}");
    assert_eq!(text::<List<u8>>(), "List{Cons(u8#1/1,Box<~List>#8/8),Nil}#16/8");
    assert_eq!(text::<Queue>(), "Queue{waiting@0:BinaryHeap<~Queue>#24/8}#24/8");
}

/// Generic over what it holds, so that its layout depends on the type that mentions it.
#[derive(Abi)]
struct Beside<T> {
    small: u8,
    value: T,
}

#[derive(Abi)]
struct Owner {
    children: Vec<Beside<Owner>>,
}

#[test]
fn layouts_around_a_mention_are_those_of_the_real_type() {
    let size = size_of::<Beside<Owner>>();
    assert_eq!(size, 32);
    let owner = text::<Owner>();
    assert!(owner.contains(&format!(":~Owner}}#{size}/8")), "{owner}");
}

#[derive(Abi)]
struct Folder {
    entries: Vec<Entry>,
}

#[derive(Abi)]
enum Entry {
    File(String),
    Folder(#[abi(by_name)] Option<Box<Folder>>),
}

#[test]
fn by_name_cuts_a_cycle_and_the_full_text_follows_it() {
    let entry = "Entry{File(String#24/8),Folder(^Option<Box<Folder>>#8/8)}#24/8";
    assert_eq!(text::<Entry>(), entry);
    assert_eq!(text::<Folder>(), format!("Folder{{entries@0:Vec<{entry}>#24/8}}#24/8"));
    assert!(Signature::is_by_name(Typed::<(), Folder>::HASH));
    assert!(!Signature::is_by_name(Typed::<(), Tree>::HASH));
    let full = full_text::<Entry>();
    assert!(full.contains(&format!(";Option<Box<{}>#8/8>#8/8", text::<Folder>())), "{full}");
}

#[derive(Abi)]
#[repr(C)]
struct InOrder {
    small: u8,
    large: u32,
}

#[derive(Abi)]
#[repr(u8)]
enum Numbered {
    A(u16) = 3,
    B,
    C { x: u8 } = 0x10,
    D,
}

#[derive(Abi)]
#[repr(u8)]
enum Counted {
    A(u16),
    B,
}

#[derive(Abi)]
#[repr(transparent)]
struct Wrapper(u64);

#[test]
fn a_representation_is_part_of_the_layout() {
    assert_eq!(text::<InOrder>(), "InOrder:C{small@0:u8#1/1,large@4:u32#4/4}#8/4");
    assert_eq!(text::<Numbered>(), "Numbered:u8{A(u16#2/2)=3,B=4,C{x:u8#1/1}=16,D=17}#4/2");
    assert_eq!(text::<Counted>(), "Counted:u8{A(u16#2/2)=0,B=1}#4/2");
    assert_eq!(text::<Wrapper>(), "Wrapper{0@0:u64#8/8}#8/8");
}
