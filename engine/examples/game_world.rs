//! A world of a million entities lives on while its module is edited and its loop ticks: through new code, through another
//! struct, through changes that are refused, and back. `cargo run -p hotswap-engine --example game_world`

mod module_crate;

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hotswap_engine::{CallErrorKind, Engine, Profile};
use module_crate::ModuleCrate;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The module as it is first.
const MODULE: &str = r#"
use hotswap_module::{State, export, migrate, state};
hotswap_module::module!();

#[state(version = 1, init = populate)]
pub struct World {
    pub tick: u64,
    pub entities: Vec<Entity>,
}

#[state(part)]
pub struct Entity {
    pub x: f32,
    pub y: f32,
}

fn populate() -> World {
    let entities = (0..1_000_000).map(|y| Entity { x: 0.0, y: y as f32 });
    World { tick: 0, entities: entities.collect() }
}

#[export]
pub fn tick(world: State<World>) -> u64 {
    let mut world = world.lock();
    world.tick += 1;
    for entity in &mut world.entities {
        entity.x += 1.0;
    }
    world.tick
}

#[export]
pub fn describe(world: State<World>) -> String {
    let world = world.read();
    let (count, last) = (world.entities.len(), &world.entities[999_999]);
    let moved = last.x as u64;
    format!("tick {}, {count} entities at {:p}, moved by {moved}", world.tick, &world.entities[0])
}
"#;

/// What the module says of a world of version 1 when it has version 2, in which entities have a health.
const FROM_1: &str = r#"
#[state(version = 1, name = "World")]
struct WorldV1 {
    tick: u64,
    entities: Vec<EntityV1>,
}

#[state(part)]
#[abi(name = "Entity")]
struct EntityV1 {
    x: f32,
    y: f32,
}

#[migrate(from = 1, down = world_to_1)]
fn world_from_1(old: WorldV1) -> World {
    let entities = old.entities.into_iter().map(|EntityV1 { x, y }| Entity { x, y, health: 100 });
    World { tick: old.tick, entities: entities.collect() }
}

fn world_to_1(new: World) -> WorldV1 {
    let entities = new.entities.into_iter().map(|Entity { x, y, .. }| EntityV1 { x, y });
    WorldV1 { tick: new.tick, entities: entities.collect() }
}
"#;

/// A step that works for a new world only.
const FROM_2_BROKEN: &str = r#"
#[state(version = 2, name = "World")]
struct WorldV2 {
    tick: u64,
    entities: Vec<Entity>,
}

#[migrate(from = 2, down = world_to_2)]
fn world_from_2(old: WorldV2) -> Result<World, String> {
    match old.tick {
        0 => Ok(World { tick: 0, wind: 0.0, entities: old.entities }),
        tick => Err(format!("no wind was blowing for {tick} ticks")),
    }
}

fn world_to_2(new: World) -> WorldV2 {
    WorldV2 { tick: new.tick, entities: new.entities }
}
"#;

fn main() -> Outcome<()> {
    let module = ModuleCrate::new("game-world", MODULE)?;
    // A debug build would migrate the world as well, and take its time.
    let engine = Engine::builder(module.path()).profile(Profile::Release).without_log().open()?;
    let is_over = AtomicBool::new(false);
    let longest_us = AtomicU64::new(0);
    thread::scope(|scope| {
        let ticking = scope.spawn(|| keep_ticking(&engine, &is_over, &longest_us));
        let edited = edit(&engine, &module, &longest_us);
        is_over.store(true, Ordering::Relaxed);
        let ticks = ticking.join().map_err(|_| "the loop panicked")??;
        edited?;
        println!("\n{ticks} ticks, none missed and none done twice");
        Ok(())
    })
}

/// The loop of a game, 60 times a second. Gives how often the world ticked.
fn keep_ticking(engine: &Engine, is_over: &AtomicBool, longest_us: &AtomicU64) -> Outcome<u64> {
    let mut ticks = 0;
    while !is_over.load(Ordering::Relaxed) {
        let start = Instant::now();
        match engine.call_with::<u64>("tick", ()) {
            Ok(tick) if tick == ticks + 1 => ticks = tick,
            Ok(tick) => return Err(format!("tick {tick} came after {ticks}").into()),
            // It began in the version before, and the world has another form by now: the next one is a call of the new version.
            Err(error) if matches!(error.kind, CallErrorKind::StateSuperseded { .. }) => continue,
            Err(error) => return Err(error.into()),
        }
        let time = start.elapsed();
        longest_us.fetch_max(u64::try_from(time.as_micros())?, Ordering::Relaxed);
        thread::sleep(Duration::from_micros(16_667).saturating_sub(time));
    }
    Ok(ticks)
}

fn edit(engine: &Engine, module: &ModuleCrate, longest_us: &AtomicU64) -> Outcome<()> {
    let step = |what: &str, outcome: String| -> Outcome<()> {
        let world = engine.call_with::<String>("describe", ())?;
        let longest = Duration::from_micros(longest_us.swap(0, Ordering::Relaxed));
        println!("\n{what}\n{outcome}\nthe world: {world}; the longest tick took {longest:.1?}");
        Ok(())
    };
    step("a world of version 1", format!("{} is current", engine.version()))?;

    let faster = MODULE.replace("entity.x += 1.0", "entity.x += 2.0");
    module.write(&faster)?;
    step("entities move faster: the same world, where it was", engine.reload()?.to_string())?;

    let with_health = faster
        .replace("version = 1", "version = 2")
        .replace("pub y: f32,", "pub y: f32,\n    pub health: u8,")
        .replace("y: y as f32", "y: y as f32, health: 100")
        + FROM_1;
    module.write(&with_health)?;
    step("entities get a health: the world is migrated", engine.reload()?.to_string())?;

    let with_wind = with_health
        .replace("version = 2", "version = 3")
        .replace("pub tick: u64,", "pub tick: u64,\n    pub wind: f32,")
        .replace("tick: 0,", "tick: 0, wind: 0.0,")
        .replace(FROM_1, "");
    module.write(&with_wind)?;
    step("the world gets wind, and no step leads there: refused", refused(engine)?)?;

    module.write(&(with_wind + FROM_2_BROKEN))?;
    step("a step that fails: refused", refused(engine)?)?;

    step("back to the version before", engine.rollback()?.to_string())
}

/// What the refusal of the source says.
fn refused(engine: &Engine) -> Outcome<String> {
    match engine.reload() {
        Ok(verdict) => Err(format!("it should be refused: {verdict}").into()),
        Err(error) => Ok(error.to_string()),
    }
}
