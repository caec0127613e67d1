//! Skeletons of migrations as the engine prints them, each pasted below the new type.
//!
//! Written by engine/module/tests/skeleton.rs; with HOTSWAP_BLESS=1 it writes them anew.

#![deny(warnings)]

mod counters {
    use std::collections::{BTreeMap, BTreeSet, VecDeque};
    use std::num::NonZero;
    use std::ops::Range;
    use std::path::PathBuf;
    use std::time::Duration;

    #[hotswap_module::state(version = 2, init = first)]
    struct Counters {
        calls: u64,
        title: String,
        r#type: u8,
        by_hour: BTreeMap<u8, Vec<Duration>>,
        path: Option<PathBuf>,
        bytes: Box<[u8]>,
        odd: (NonZero<u8>, (Range<i32>,), [BTreeSet<char>; 2]),
        rest: VecDeque<String>,
        small: i64,
    }

    fn first() -> Counters {
        Counters {
            calls: 0,
            title: String::new(),
            r#type: 0,
            by_hour: BTreeMap::new(),
            path: None,
            bytes: Box::default(),
            odd: (NonZero::<u8>::MIN, (0..1,), Default::default()),
            rest: VecDeque::new(),
            small: 0,
        }
    }

    /// Counters 1.
    #[hotswap_module::state(version = 1, name = "Counters")]
    struct CountersV1 {
        calls: u64,
        name: String,
        r#type: u8,
        by_hour: std::collections::BTreeMap<u8, Vec<std::time::Duration>>,
        path: Option<std::path::PathBuf>,
        bytes: Box<[u8]>,
        odd: (std::num::NonZero<u8>, (std::ops::Range<i32>,), [std::collections::BTreeSet<char>; 2]),
        rest: std::collections::VecDeque<Box<str>>,
        small: u32,
    }

    // A rollback takes `down`: a function from Counters to CountersV1. Without one the host must allow it.
    #[hotswap_module::migrate(from = 1)]
    fn counters_from_1(old: CountersV1) -> Result<Counters, String> {
        // Dropped: name: String.
        // New, as in the first value: title: String.
        Ok(Counters {
            calls: old.calls,
            r#type: old.r#type,
            by_hour: old.by_hour,
            path: old.path,
            bytes: old.bytes,
            odd: old.odd,
            rest: Err("say what becomes of rest, which was std::collections::VecDeque<Box<str>>".to_owned())?,
            small: old.small.into(),
            ..hotswap_module::first_value()?
        })
    }

    pub fn check() {
        let old = CountersV1 {
            calls: 3,
            name: "n".to_owned(),
            r#type: 4,
            by_hour: BTreeMap::new(),
            path: None,
            bytes: Box::default(),
            odd: first().odd,
            rest: VecDeque::new(),
            small: 5,
        };
        let refused = counters_from_1(old).err();
        assert_eq!(
            refused.as_deref(),
            Some("say what becomes of rest, which was std::collections::VecDeque<Box<str>>")
        );
    }

    pub fn former() -> &'static hotswap_module::Desc {
        <CountersV1 as hotswap_module::Abi>::DESC
    }
}

mod world {
    use hotswap_module::state;

    #[state(part)]
    #[derive(Default)]
    struct Place {
        x: f64,
        z: f64,
    }

    #[state(part)]
    #[derive(Default)]
    struct Kept {
        at: (f32, f32),
    }

    #[state(part)]
    #[derive(Default)]
    struct Line {
        from: Place,
        to: Place,
        kept: Kept,
    }

    #[state(version = 2)]
    #[derive(Default)]
    struct World {
        lines: Vec<Line>,
        kept: Kept,
        place: Option<Place>,
    }

    /// Line of World 1.
    #[hotswap_module::state(part)]
    #[abi(name = "Line")]
    struct LineV1 {
        from: PlaceV1,
        to: PlaceV1,
        kept: Kept,
    }

    /// Place of World 1.
    #[hotswap_module::state(part)]
    #[abi(name = "Place")]
    struct PlaceV1 {
        x: f64,
        y: f64,
    }

    /// Gone of World 1.
    #[hotswap_module::state(part)]
    #[abi(name = "Gone")]
    enum GoneV1 {
        A,
        B(Box<GoneV1>),
        C { c: Vec<Kept> },
    }

    /// World 1.
    #[hotswap_module::state(version = 1, name = "World")]
    struct WorldV1 {
        lines: Vec<LineV1>,
        kept: Kept,
        gone: GoneV1,
        place: Option<PlaceV1>,
    }

    // A rollback takes `down`: a function from World to WorldV1. Without one the host must allow it.
    #[hotswap_module::migrate(from = 1)]
    fn world_from_1(old: WorldV1) -> Result<World, String> {
        // Dropped: gone: GoneV1.
        Ok(World {
            lines: Err("say what becomes of lines, which was Vec<LineV1>".to_owned())?,
            kept: old.kept,
            place: Err("say what becomes of place, which was Option<PlaceV1>".to_owned())?,
        })
    }

    pub fn former() -> &'static hotswap_module::Desc {
        <WorldV1 as hotswap_module::Abi>::DESC
    }
}

mod pair {
    #[hotswap_module::state(version = 2)]
    #[derive(Default)]
    struct Pair(u64, String, Vec<u16>);

    /// Pair 1.
    #[hotswap_module::state(version = 1, name = "Pair")]
    struct PairV1(u64, String, Vec<u8>);

    // A rollback takes `down`: a function from Pair to PairV1. Without one the host must allow it.
    #[hotswap_module::migrate(from = 1)]
    fn pair_from_1(old: PairV1) -> Result<Pair, String> {
        Ok(Pair {
            0: old.0,
            1: old.1,
            2: Err("say what becomes of 2, which was Vec<u8>".to_owned())?,
        })
    }

    pub fn former() -> &'static hotswap_module::Desc {
        <PairV1 as hotswap_module::Abi>::DESC
    }
}

mod phase {
    #[hotswap_module::state(version = 2)]
    #[derive(Default)]
    enum Phase {
        #[default]
        Idle,
        Running { since: u64 },
        Paused,
        Inside(Vec<Phase>),
        Both(u8, String),
    }

    /// Phase 1.
    #[hotswap_module::state(version = 1, name = "Phase")]
    enum PhaseV1 {
        Idle,
        Running { since: u64 },
        Inside(Vec<PhaseV1>),
        Both(u8, String),
        Gone,
    }

    // A rollback takes `down`: a function from Phase to PhaseV1. Without one the host must allow it.
    #[hotswap_module::migrate(from = 1)]
    fn phase_from_1(old: PhaseV1) -> Result<Phase, String> {
        Ok(match old {
            PhaseV1::Idle => Phase::Idle,
            PhaseV1::Running { since } => Phase::Running { since },
            PhaseV1::Inside { .. } => return Err("say what becomes of Inside".to_owned()),
            PhaseV1::Both(value_1, value_2) => Phase::Both(value_1, value_2),
            PhaseV1::Gone { .. } => return Err("say what becomes of Gone".to_owned()),
        })
    }

    pub fn check() {
        assert!(matches!(phase_from_1(PhaseV1::Both(3, String::new())), Ok(Phase::Both(3, _))));
        assert!(phase_from_1(PhaseV1::Gone).is_err());
    }

    pub fn former() -> &'static hotswap_module::Desc {
        <PhaseV1 as hotswap_module::Abi>::DESC
    }
}

mod level {
    #[hotswap_module::state(version = 2)]
    #[derive(Default)]
    enum Level {
        #[default]
        Low,
        High,
    }

    /// Level 1.
    #[hotswap_module::state(version = 1, name = "Level")]
    enum LevelV1 {
        Low,
        High = 4,
        Higher,
    }

    // A rollback takes `down`: a function from Level to LevelV1. Without one the host must allow it.
    #[hotswap_module::migrate(from = 1)]
    fn level_from_1(old: LevelV1) -> Result<Level, String> {
        Ok(match old {
            LevelV1::Low => Level::Low,
            LevelV1::High => Level::High,
            LevelV1::Higher { .. } => return Err("say what becomes of Higher".to_owned()),
        })
    }

    pub fn former() -> &'static hotswap_module::Desc {
        <LevelV1 as hotswap_module::Abi>::DESC
    }
}

mod tree {
    #[hotswap_module::state(version = 2)]
    #[derive(Default)]
    struct Tree {
        value: u64,
        children: Vec<Tree>,
        name: String,
    }

    /// Tree 1.
    #[hotswap_module::state(version = 1, name = "Tree")]
    struct TreeV1 {
        value: u64,
        children: Vec<TreeV1>,
    }

    // A rollback takes `down`: a function from Tree to TreeV1. Without one the host must allow it.
    #[hotswap_module::migrate(from = 1)]
    fn tree_from_1(old: TreeV1) -> Result<Tree, String> {
        // New, as in the first value: name: String.
        Ok(Tree {
            value: old.value,
            children: Err("say what becomes of children, which was Vec<TreeV1>".to_owned())?,
            ..hotswap_module::first_value()?
        })
    }

    pub fn check() {
        let old = TreeV1 { value: 3, children: vec![] };
        assert!(tree_from_1(old).is_err());
    }

    pub fn former() -> &'static hotswap_module::Desc {
        <TreeV1 as hotswap_module::Abi>::DESC
    }
}

mod only {
    #[hotswap_module::state(version = 2)]
    #[derive(Default)]
    struct Only {
        is: u8,
    }

    /// Only 1.
    #[hotswap_module::state(version = 1, name = "Only")]
    struct OnlyV1 {
        was: u8,
    }

    // A rollback takes `down`: a function from Only to OnlyV1. Without one the host must allow it.
    #[hotswap_module::migrate(from = 1)]
    fn only_from_1(_old: OnlyV1) -> Result<Only, String> {
        // Dropped: was: u8.
        // New, as in the first value: is: u8.
        hotswap_module::first_value()
    }

    pub fn check() {
        assert_eq!(only_from_1(OnlyV1 { was: 3 }).unwrap().is, 0);
    }

    pub fn former() -> &'static hotswap_module::Desc {
        <OnlyV1 as hotswap_module::Abi>::DESC
    }
}

mod kept {
    #[hotswap_module::state(version = 2)]
    #[derive(Default)]
    struct Kept {
        at: (f32, f32),
    }

    /// Kept 1.
    #[hotswap_module::state(version = 1, name = "Kept")]
    #[repr(C)]
    struct KeptV1 {
        at: (f32, f32),
    }

    #[hotswap_module::migrate(from = 1, down = kept_to_1)]
    fn kept_from_1(old: KeptV1) -> Result<Kept, String> {
        Ok(Kept {
            at: old.at,
        })
    }

    fn kept_to_1(new: Kept) -> KeptV1 {
        KeptV1 {
            at: new.at,
        }
    }

    pub fn check() {
        assert_eq!(kept_from_1(KeptV1 { at: (1.0, 2.0) }).unwrap().at, (1.0, 2.0));
    }

    pub fn former() -> &'static hotswap_module::Desc {
        <KeptV1 as hotswap_module::Abi>::DESC
    }
}

mod folders {
    use hotswap_module::state;

    #[state(version = 2)]
    #[derive(Default)]
    struct Root {
        folder: Folder,
    }

    #[state(part)]
    #[derive(Default)]
    struct Folder {
        entries: Vec<Entry>,
    }

    #[state(part)]
    enum Entry {
        File(String),
        Folder(#[abi(by_name)] Box<Folder>),
    }

    /// Folder of Root 1.
    #[hotswap_module::state(part)]
    #[abi(name = "Folder")]
    struct FolderV1 {
        entries: Vec<EntryV1>,
        name: String,
    }

    /// Entry of Root 1.
    #[hotswap_module::state(part)]
    #[abi(name = "Entry")]
    enum EntryV1 {
        File(String),
        Folder(#[abi(by_name = "Box<Folder>")] Box<FolderV1>),
    }

    /// Root 1.
    #[hotswap_module::state(version = 1, name = "Root")]
    struct RootV1 {
        folder: FolderV1,
    }

    // A rollback takes `down`: a function from Root to RootV1. Without one the host must allow it.
    #[hotswap_module::migrate(from = 1)]
    fn root_from_1(_old: RootV1) -> Result<Root, String> {
        Ok(Root {
            folder: Err("say what becomes of folder, which was FolderV1".to_owned())?,
        })
    }

    pub fn former() -> &'static hotswap_module::Desc {
        <RootV1 as hotswap_module::Abi>::DESC
    }
}

mod other_kind {
    #[hotswap_module::state(version = 2)]
    #[derive(Default)]
    struct Phase {
        is_running: bool,
    }

    /// Phase 1.
    #[hotswap_module::state(version = 1, name = "Phase")]
    enum PhaseV1 {
        Idle,
        Running { since: u64 },
        Inside(Vec<PhaseV1>),
        Both(u8, String),
        Gone,
    }

    // A rollback takes `down`: a function from Phase to PhaseV1. Without one the host must allow it.
    #[hotswap_module::migrate(from = 1)]
    fn phase_from_1(_old: PhaseV1) -> Result<Phase, String> {
        Err("say what becomes of the old value".to_owned())
    }

    pub fn former() -> &'static hotswap_module::Desc {
        <PhaseV1 as hotswap_module::Abi>::DESC
    }
}

fn main() {
    assert_eq!(layout(counters::former()), "()->Counters{calls@160:u64#8/8,name@0:String#24/8,type@196:u8#1/1,by_hour@168:BTreeMap<u8#1/1,Vec<Duration#16/8>#24/8>#24/8,path@56:Option<PathBuf#24/8>#24/8,bytes@80:Box<[]><u8#1/1>#16/8,odd@96:(NonZero<u8#1/1>#1/1,(Range<i32#4/4>#8/4)#8/4,[BTreeSet<char#4/4>#24/8;2]#48/8)#64/8,rest@24:VecDeque<Box<str>#16/8>#32/8,small@192:u32#4/4}#200/8");
    counters::check();
    assert_eq!(layout(world::former()), "()->World{lines@24:Vec<Line{from@0:Place{x@0:f64#8/8,y@8:f64#8/8}#16/8,to@16:Place{x@0:f64#8/8,y@8:f64#8/8}#16/8,kept@32:Kept{at@0:(f32#4/4,f32#4/4)#8/4}#8/4}#40/8>#24/8,kept@72:Kept{at@0:(f32#4/4,f32#4/4)#8/4}#8/4,gone@48:Gone{A,B(Box<~Gone>#8/8),C{c:Vec<Kept{at@0:(f32#4/4,f32#4/4)#8/4}#8/4>#24/8}}#24/8,place@0:Option<Place{x@0:f64#8/8,y@8:f64#8/8}#16/8>#24/8}#80/8");
    assert_eq!(layout(pair::former()), "()->Pair{0@48:u64#8/8,1@0:String#24/8,2@24:Vec<u8#1/1>#24/8}#56/8");
    assert_eq!(layout(phase::former()), "()->Phase{Idle,Running{since:u64#8/8},Inside(Vec<~Phase>#24/8),Both(u8#1/1,String#24/8),Gone}#32/8");
    phase::check();
    assert_eq!(layout(level::former()), "()->Level{Low=0,High=4,Higher=5}#1/1");
    assert_eq!(layout(tree::former()), "()->Tree{value@24:u64#8/8,children@0:Vec<~Tree>#24/8}#32/8");
    tree::check();
    assert_eq!(layout(only::former()), "()->Only{was@0:u8#1/1}#1/1");
    only::check();
    assert_eq!(layout(kept::former()), "()->Kept:C{at@0:(f32#4/4,f32#4/4)#8/4}#8/4");
    kept::check();
    assert_eq!(layout(folders::former()), "()->Root{folder@0:Folder{entries@0:Vec<Entry{File(String#24/8),Folder(^Box<Folder>#8/8)}#24/8>#24/8,name@24:String#24/8}#48/8}#48/8;Box<Folder{entries@0:Vec<Entry{File(String#24/8),Folder(^Box<Folder>#8/8)}#24/8>#24/8,name@24:String#24/8}#48/8>#8/8");
    assert_eq!(layout(other_kind::former()), "()->Phase{Idle,Running{since:u64#8/8},Inside(Vec<~Phase>#24/8),Both(u8#1/1,String#24/8),Gone}#32/8");
}

fn layout(desc: &'static hotswap_module::Desc) -> String {
    hotswap_module::Signature { arguments: &[], result: desc }.full_text()
}
