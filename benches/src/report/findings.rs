//! Everything that one run measures.

use std::thread;
use std::time::Duration;

use crate::build::{BareCrate, EditToLive, LiveCrate};
use crate::call::{CallCost, Calls};
use crate::detect::{Delays, Wake, bare_event, delays};
use crate::http::{LargeRelease, Released};
use crate::latency::{UnderSwaps, under_swaps};
use crate::load::{BuiltArtifacts, Libraries, Offers, bytes_read, read_once, tiny_c};
use crate::memory::{self, AfterSwaps};
use crate::module_crate::Size;
use crate::modules::{Bare, Copies, OneOfMany, Pair, Standing, bare, stand, threads_of_one};
use crate::peers;
use crate::poll_frequency::{IdlePoll, PollShare, Trees, shares};
use crate::shared_crate::{Builds, SharedByCargo, SharedInRegistry};
use crate::sources::{Published, Replaced, cargo_build, idle_library, idle_string, string_to_live};
use crate::state::{
    BesideMigrations, Handover, LockPath, Locks, Migrations, StateLibraries, THREADS,
    handover_bytes,
};
use crate::timed::{interleaved, pause};
use crate::tree::Tree;
use crate::unload::{UnderUnloads, WayBack, calls_under_unloads, close_c, unload_idle};
use crate::{Comparison, Outcome, Samples, Workshop, sample_library};

use super::plan::Plan;

/// Plain data; what it means is for [`super::figures`] and [`super::sections`].
#[derive(Debug)]
pub(super) struct Findings {
    pub(super) calls: Vec<CallCost>,
    pub(super) calls_under_swaps: Vec<CallCost>,
    pub(super) swaps_per_second: f64,
    /// With a processor left for the swapper, and with none.
    pub(super) latency: [UnderSwaps; 2],
    pub(super) sources: SourceCost,
    pub(super) http: HttpCost,
    pub(super) modules: ModuleCost,
    pub(super) idle_polls: Vec<IdlePoll>,
    pub(super) shares: Vec<PollShare>,
    /// How long the processor time of the long periods was watched.
    pub(super) long_window: Duration,
    pub(super) bare_event: Samples,
    pub(super) delays: Vec<Delays>,
    pub(super) edits: Vec<EditCost>,
    pub(super) edit_period: Duration,
    pub(super) load: LoadCost,
    pub(super) unload: UnloadCost,
    pub(super) memory: Memory,
    pub(super) state: StateCost,
    /// Nothing without the feature.
    pub(super) peers: Vec<Comparison>,
}

/// Edits of one crate.
#[derive(Debug)]
pub(super) struct EditCost {
    pub(super) size: Size,
    pub(super) live: Vec<EditToLive>,
    /// Only of the first size.
    pub(super) polled: Option<PolledEdits>,
    pub(super) cargo: Samples,
    pub(super) front_end: Samples,
}

/// Edits with a look each period and no events, in turn with edits by events.
#[derive(Debug)]
pub(super) struct PolledEdits {
    pub(super) polled: Samples,
    pub(super) by_events: Samples,
}

/// Sources that are no path: looks that find nothing, and publications.
#[derive(Debug)]
pub(super) struct SourceCost {
    pub(super) stat: Samples,
    pub(super) string: Samples,
    pub(super) prebuilt: Samples,
    pub(super) sqlite: Samples,
    pub(super) sqlite_of_many: Samples,
    pub(super) publish_alone: Samples,
    pub(super) publish_to_live: Samples,
    pub(super) chain_to_live: Samples,
    pub(super) copy_alone: Samples,
    pub(super) library_to_live: Samples,
    pub(super) cargo_build: Samples,
    pub(super) string_to_live: Samples,
}

/// Modules on a web server.
#[derive(Debug)]
pub(super) struct HttpCost {
    pub(super) conditional_get: Samples,
    pub(super) idle: Samples,
    pub(super) to_live: Samples,
    pub(super) large_bytes: usize,
    pub(super) hash_alone: Samples,
    pub(super) verified: Samples,
}

/// A registry of many modules.
#[derive(Debug)]
pub(super) struct ModuleCost {
    pub(super) threads_of_one: usize,
    pub(super) bare: Bare,
    pub(super) few: Standing,
    pub(super) many: Standing,
    pub(super) window: Duration,
    pub(super) stat: Samples,
    pub(super) wake_of_one: Samples,
    pub(super) wake_of_many: Samples,
    /// By the host, by another module, by one that keeps the caller, by a guard, and by a guard for each call.
    pub(super) calls: [Samples; 5],
    pub(super) sharing: usize,
    pub(super) cargo_workspace: Samples,
    pub(super) shared_by_one: Samples,
    pub(super) shared_by_many: Samples,
    pub(super) builds: Builds,
}

#[derive(Debug)]
pub(super) struct LoadCost {
    pub(super) tiny: Samples,
    pub(super) built: Samples,
    pub(super) offered: Samples,
    pub(super) large_bytes: usize,
    pub(super) large_read: Samples,
    pub(super) large_offered: Samples,
    /// How often the bytes of the large library are read.
    pub(super) large_times_read: f64,
}

#[derive(Debug)]
pub(super) struct UnloadCost {
    pub(super) calls: UnderUnloads,
    pub(super) close_c: Samples,
    pub(super) idle_version: Samples,
    pub(super) way_back: Samples,
}

#[derive(Debug)]
pub(super) struct Memory {
    pub(super) kept: Vec<AfterSwaps>,
    pub(super) kept_c: Vec<AfterSwaps>,
    pub(super) unloaded: Vec<AfterSwaps>,
}

#[derive(Debug)]
pub(super) struct StateCost {
    /// Every path on each number of threads.
    pub(super) locks: Vec<(LockPath, usize, Samples)>,
    /// By bytes of state, the least first.
    pub(super) handovers: Vec<(usize, Samples)>,
    /// What is migrated: how many entities, and what they take as postcard.
    pub(super) entities: u64,
    pub(super) migrated_bytes: usize,
    pub(super) postcard: Samples,
    pub(super) up: Samples,
    pub(super) down: Samples,
    pub(super) callers: BesideMigrations,
}

impl Findings {
    pub(super) fn measure(plan: &Plan, workshop: &Workshop) -> Outcome<Self> {
        // First: later the process has more mappings, and the allocator more to give.
        say("memory");
        let libraries = Libraries::build(workshop)?;
        let memory = memory(plan, workshop, &libraries)?;
        say("load");
        let load = load(plan, workshop, &libraries)?;
        say("unloading");
        let unload = unload(plan, workshop, &libraries)?;
        say("calls");
        let calls = Calls::open()?;
        let idle_calls = calls.measure(plan.call_samples)?;
        let (calls_under_swaps, swaps_per_second) = calls.measure_under_swaps(plan.call_samples)?;
        drop(calls);
        say("latency");
        let latency = latency(plan)?;
        say("state");
        let state = state(plan, workshop)?;
        say("sources");
        let sources = sources(plan, workshop, &libraries)?;
        say("web servers");
        let http = http(plan, workshop, &libraries)?;
        say("modules");
        let modules = modules(plan, workshop, &libraries)?;
        say("polls");
        let mut trees = Trees::new(workshop, plan.files)?;
        let idle_polls = trees.idle_polls(plan.poll_samples)?;
        let shares = poll_shares(plan, &mut trees)?;
        say("detection");
        let mut floor_tree = Tree::new(workshop, "floor", 100)?;
        let mut floor = [bare_event(&mut floor_tree)?];
        let floor = interleaved(&mut floor, Duration::ZERO, plan.detections as usize)?;
        let bare_event = floor.into_iter().next().expect("one path");
        let delays = every_delay(plan, &mut trees)?;
        drop(trees);
        let mut edits = Vec::new();
        for size in &Size::ALL[..plan.sizes] {
            say(&format!("edits of {}", size.name()));
            edits.push(edit(plan, workshop, *size)?);
        }
        say("peers");
        let peers = peers::measure(workshop, plan.call_samples, plan.edits)?;
        Ok(Self {
            calls: idle_calls,
            calls_under_swaps,
            swaps_per_second,
            latency,
            sources,
            http,
            modules,
            idle_polls,
            shares,
            long_window: plan.long_window,
            bare_event,
            delays,
            edits,
            edit_period: plan.edit_period,
            load,
            unload,
            memory,
            state,
            peers,
        })
    }
}

/// Tells who waits.
fn say(what: &str) {
    eprintln!("measuring {what}");
}

fn memory(plan: &Plan, workshop: &Workshop, libraries: &Libraries) -> Outcome<Memory> {
    let every = (plan.unloaded_swaps / 100).max(10);
    let unloaded = memory::unloaded(libraries, plan.unloaded_swaps, every)?;
    let kept_c = memory::kept_c(workshop, &libraries.tiny, plan.kept_swaps, 30)?;
    let kept = memory::kept(libraries, plan.kept_swaps, 30)?;
    Ok(Memory { kept, kept_c, unloaded })
}

fn load(plan: &Plan, workshop: &Workshop, libraries: &Libraries) -> Outcome<LoadCost> {
    let mut built = BuiltArtifacts::open(workshop, libraries)?;
    let offers = Offers::open(&libraries.modules[0])?;
    let mut small = [tiny_c(&libraries.tiny), built.timed(), offers.timed(&libraries.modules[0])];
    let small = interleaved(&mut small, Duration::ZERO, plan.load_samples)?;
    let [tiny, built, offered] = small.try_into().map_err(|_| "three paths")?;
    let path = libraries.large(workshop, plan.large_bytes)?;
    let mut large = [read_once(&path), offers.timed(&path)];
    let large = interleaved(&mut large, Duration::ZERO, plan.load_samples.min(11))?;
    let [large_read, large_offered] = large.try_into().map_err(|_| "two paths")?;
    let before = bytes_read()?;
    offers.offer(&path)?;
    let large_times_read = (bytes_read()? - before) as f64 / path.metadata()?.len() as f64;
    let large_bytes = plan.large_bytes;
    Ok(LoadCost { tiny, built, offered, large_bytes, large_read, large_offered, large_times_read })
}

fn unload(plan: &Plan, workshop: &Workshop, libraries: &Libraries) -> Outcome<UnloadCost> {
    let way_back = WayBack::open(workshop, libraries)?;
    let mut paths = [close_c(&libraries.tiny), unload_idle(libraries)?, way_back.timed()];
    let samples = interleaved(&mut paths, Duration::ZERO, plan.load_samples)?;
    let [close_c, idle_version, way_back] = samples.try_into().map_err(|_| "three paths")?;
    let callers = thread::available_parallelism()?.get().saturating_sub(1).max(1);
    let calls = calls_under_unloads(libraries, callers, plan.latency)?;
    Ok(UnloadCost { calls, close_c, idle_version, way_back })
}

fn sources(plan: &Plan, workshop: &Workshop, libraries: &Libraries) -> Outcome<SourceCost> {
    let published = |name| Published::new(workshop, name, libraries);
    let idle = published("idle")?;
    let mut looks = [
        idle.stat(),
        idle_string(),
        idle_library(&libraries.modules[0])?,
        idle.idle()?,
        idle.idle_of_many()?,
    ];
    let looks = interleaved(&mut looks, Duration::from_millis(1), plan.poll_samples)?;
    let [stat, string, prebuilt, sqlite, sqlite_of_many] =
        looks.try_into().map_err(|_| "five paths")?;
    let (mut alone, mut live, mut chained) =
        (published("alone")?, published("live")?, published("chained")?);
    let mut copied = Replaced::new(workshop, "copied", libraries)?;
    let mut replaced = Replaced::new(workshop, "replaced", libraries)?;
    let mut publications = [
        alone.alone(),
        live.to_live()?,
        chained.to_live_in_a_chain()?,
        copied.alone(),
        replaced.to_live()?,
    ];
    let publications = interleaved(&mut publications, Duration::ZERO, plan.load_samples)?;
    let [publish_alone, publish_to_live, chain_to_live, copy_alone, library_to_live] =
        publications.try_into().map_err(|_| "five paths")?;
    let mut strings = [cargo_build(workshop)?, string_to_live(workshop)?];
    let strings = interleaved(&mut strings, Duration::ZERO, plan.edits as usize)?;
    let [cargo_build, string_to_live] = strings.try_into().map_err(|_| "two paths")?;
    Ok(SourceCost {
        stat,
        string,
        prebuilt,
        sqlite,
        sqlite_of_many,
        publish_alone,
        publish_to_live,
        chain_to_live,
        copy_alone,
        library_to_live,
        cargo_build,
        string_to_live,
    })
}

fn http(plan: &Plan, workshop: &Workshop, libraries: &Libraries) -> Outcome<HttpCost> {
    let idle = Released::new(workshop, "http_idle", libraries)?;
    let mut live = Released::new(workshop, "http_live", libraries)?;
    let mut looks = [idle.conditional_get()?, idle.idle()?];
    let looks = interleaved(&mut looks, Duration::from_millis(1), plan.poll_samples)?;
    let [conditional_get, idle_look] = looks.try_into().map_err(|_| "two paths")?;
    let releases = interleaved(&mut [live.to_live()?], Duration::ZERO, plan.load_samples)?;
    let [to_live] = releases.try_into().map_err(|_| "one path")?;
    let large = LargeRelease::new(workshop, plan.large_bytes)?;
    let mut checks = [large.hash_alone()?, large.verify()];
    let checks = interleaved(&mut checks, Duration::ZERO, plan.load_samples.min(11))?;
    let [hash_alone, verified] = checks.try_into().map_err(|_| "two paths")?;
    Ok(HttpCost {
        conditional_get,
        idle: idle_look,
        to_live,
        large_bytes: plan.large_bytes,
        hash_alone,
        verified,
    })
}

fn modules(plan: &Plan, workshop: &Workshop, libraries: &Libraries) -> Outcome<ModuleCost> {
    let copies = |name, count| Copies::new(workshop, name, libraries, count);
    let [few, many] = plan.modules;
    let (one, few, many) = (copies("one", 1)?, copies("few", few)?, copies("many", many)?);
    let threads_of_one = threads_of_one(&one)?;
    let bare = bare(&many)?;
    let standing = [stand(&few, plan.modules_window)?, stand(&many, plan.modules_window)?];
    let stat = interleaved(&mut [many.stat()], Duration::from_millis(2), plan.poll_samples)?;
    let (mut first, mut all) = (OneOfMany::open(&one)?, OneOfMany::open(&many)?);
    let mut wake_paths = [first.wake(), all.wake()];
    let wakes = interleaved(&mut wake_paths, Duration::ZERO, plan.load_samples)?;
    drop(wake_paths);
    drop((first, all));
    let pair = Pair::open(workshop, libraries)?;
    let calls = interleaved(&mut pair.timed(), Duration::from_millis(2), plan.call_samples)?;
    drop(pair);
    let mut by_cargo = SharedByCargo::open(workshop, plan.sharing)?;
    let mut alone = SharedInRegistry::open(workshop, 1)?;
    let mut sharing = SharedInRegistry::open(workshop, plan.sharing)?;
    let mut edit_paths = [by_cargo.timed(), alone.timed(), sharing.timed()];
    let edits = interleaved(&mut edit_paths, Duration::ZERO, plan.shared_edits)?;
    drop(edit_paths);
    let [stat] = stat.try_into().map_err(|_| "one path")?;
    let [wake_of_one, wake_of_many] = wakes.try_into().map_err(|_| "two paths")?;
    let [cargo_workspace, shared_by_one, shared_by_many] =
        edits.try_into().map_err(|_| "three paths")?;
    let [few, many] = standing;
    Ok(ModuleCost {
        threads_of_one,
        bare,
        few,
        many,
        window: plan.modules_window,
        stat,
        wake_of_one,
        wake_of_many,
        calls: calls.try_into().map_err(|_| "five paths")?,
        sharing: plan.sharing,
        cargo_workspace,
        shared_by_one,
        shared_by_many,
        builds: sharing.builds()?,
    })
}

/// How often the library is swapped while single calls are timed.
const SWAPS_PER_SECOND: u32 = 1_000;

fn latency(plan: &Plan) -> Outcome<[UnderSwaps; 2]> {
    let library = sample_library()?;
    let processors = thread::available_parallelism()?.get();
    let measure = |callers| under_swaps(&library, callers, SWAPS_PER_SECOND, plan.latency);
    Ok([measure(processors.saturating_sub(1).max(1))?, measure(processors)?])
}

fn state(plan: &Plan, workshop: &Workshop) -> Outcome<StateCost> {
    let libraries = StateLibraries::build(workshop)?;
    let locks = Locks::open(&libraries)?;
    let mut found = Vec::new();
    for threads in THREADS {
        let mut paths = LockPath::ALL.map(|path| locks.timed(path, threads));
        let all = interleaved(&mut paths, Duration::from_millis(2), plan.call_samples)?;
        let paths = LockPath::ALL.into_iter().zip(all);
        found.extend(paths.map(|(path, samples)| (path, threads, samples)));
    }
    drop(locks);
    let sizes = handover_bytes(plan.state_bytes)?;
    let states: Vec<_> =
        sizes.into_iter().map(|bytes| Handover::open(&libraries, bytes)).collect::<Outcome<_>>()?;
    let mut paths: Vec<_> = states.iter().map(Handover::timed).collect();
    let handovers = interleaved(&mut paths, Duration::ZERO, plan.load_samples)?;
    drop(paths);
    drop(states);
    let migrations = Migrations::open(&libraries, plan.entities)?;
    let mut paths = [migrations.postcard(), migrations.up(), migrations.down()];
    let all = interleaved(&mut paths, Duration::ZERO, plan.load_samples.min(11))?;
    let [postcard, up, down] = all.try_into().map_err(|_| "three paths")?;
    let callers = thread::available_parallelism()?.get().saturating_sub(1).max(1);
    let callers = migrations.callers(callers, plan.latency)?;
    Ok(StateCost {
        locks: found,
        handovers: sizes.into_iter().zip(handovers).collect(),
        entities: plan.entities,
        migrated_bytes: migrations.bytes,
        postcard,
        up,
        down,
        callers,
    })
}

fn poll_shares(plan: &Plan, trees: &mut Trees) -> Outcome<Vec<PollShare>> {
    let trees: Vec<&Tree> = trees.iter_mut().map(|tree| &*tree).collect();
    let mut found = Vec::new();
    for period in plan.short_periods {
        for tree in &trees {
            found.extend(shares(&[(*tree, Wake::Every(*period))], plan.short_window)?);
        }
    }
    let long = plan.long_periods.iter().map(|period| Wake::Every(*period)).chain([Wake::Events]);
    let together: Vec<_> =
        long.flat_map(|wake| trees.iter().map(move |tree| (*tree, wake))).collect();
    found.extend(shares(&together, plan.long_window)?);
    Ok(found)
}

fn every_delay(plan: &Plan, trees: &mut Trees) -> Outcome<Vec<Delays>> {
    let mut found = Vec::new();
    for tree in trees.iter_mut() {
        found.push(delays(tree, Wake::Events, plan.detections)?);
        for period in plan.short_periods {
            found.push(delays(tree, Wake::Every(*period), plan.detections)?);
        }
    }
    for period in plan.long_periods {
        // Mostly waiting: all trees at once.
        let of_period = thread::scope(|scope| -> Outcome<Vec<Delays>> {
            let running: Vec<_> = trees
                .iter_mut()
                .map(|tree| scope.spawn(|| delays(tree, Wake::Every(*period), plan.detections)))
                .collect();
            let joined = running.into_iter().map(|thread| thread.join());
            joined.map(|found| found.map_err(|_| "a thread that measures panicked")?).collect()
        })?;
        found.extend(of_period);
    }
    Ok(found)
}

fn edit(plan: &Plan, workshop: &Workshop, size: Size) -> Outcome<EditCost> {
    let mut live = LiveCrate::open(workshop, size, None)?;
    let mut bare = BareCrate::open(workshop, size)?;
    // Whoever builds first after the first build has caches to fill.
    live.edit()?;
    let (mut lives, mut cargos, mut front_ends) = (vec![], vec![], vec![]);
    for _ in 0..plan.edits {
        pause();
        lives.push(live.edit()?);
        pause();
        cargos.push(bare.cargo_build()?);
        front_ends.push(bare.front_end()?);
    }
    let polled = match size {
        Size::Small => Some(polled_edits(plan, workshop, &mut live)?),
        Size::Serde | Size::Large => None,
    };
    Ok(EditCost {
        size,
        live: lives,
        polled,
        cargo: Samples::of_times(cargos),
        front_end: Samples::of_times(front_ends),
    })
}

fn polled_edits(plan: &Plan, workshop: &Workshop, live: &mut LiveCrate) -> Outcome<PolledEdits> {
    let mut polled = LiveCrate::open(workshop, Size::Small, Some(plan.edit_period))?;
    polled.edit()?;
    let (mut polls, mut lives) = (vec![], vec![]);
    for round in 0..plan.edits {
        pause();
        lives.push(live.edit()?.total);
        let moment = (f64::from(round) + 0.5) / f64::from(plan.edits);
        thread::sleep(plan.edit_period.mul_f64(moment));
        polls.push(polled.edit()?.total);
    }
    Ok(PolledEdits { polled: Samples::of_times(polls), by_events: Samples::of_times(lives) })
}
