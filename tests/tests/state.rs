//! State that outlives versions. Rows SM-1 to SM-6 and RB-5, with state.

use hotswap_engine::Engine;
use hotswap_tests::counted::{Counting, SCHEMAS, builder, counted};

fn open(schema: u64) -> Engine {
    builder(&counted(schema)).0.open().expect("opens")
}

fn total(engine: &Engine) -> u64 {
    engine.call_with("total", ()).expect("exported")
}

fn schema(engine: &Engine) -> u64 {
    engine.call_with("schema", ()).expect("exported")
}

fn increment(engine: &Engine) -> u64 {
    engine.call_with("increment", ()).expect("exported")
}

#[test]
fn the_next_version_has_the_very_same_cell() {
    let engine = open(1);
    assert_eq!(increment(&engine), 1);
    for calls in 2..6 {
        engine.offer(counted(1)).expect("swaps");
        assert_eq!(increment(&engine), calls);
    }
    let [state] = &engine.states()[..] else { panic!("{:?}", engine.states()) };
    assert_eq!((state.schema.as_str(), state.version), ("Counters", 1));
    assert_eq!(state.json.as_deref(), Some(r#"{"calls":5}"#));
    assert_eq!(state.writes, 5, "it is one cell since the beginning");
}

/// 8 threads count through 100 swaps: every call is counted once.
#[test]
fn sm_1_counted_through_a_hundred_swaps() {
    let engine = open(1);
    let counting = Counting::start(&engine, 8, "increment");
    for _ in 0..100 {
        counting.burst();
        engine.offer(counted(1)).expect("swaps");
    }
    let calls = counting.stop();
    assert!(calls > 0);
    assert_eq!(total(&engine), calls);
}

#[test]
fn sm_3_a_chain_of_steps_runs_in_order_and_may_be_skipped() {
    for (from, to) in [(1, 5), (1, 2), (2, 4), (3, 5), (1, 3)] {
        let engine = open(from);
        for _ in 0..3 {
            increment(&engine);
        }
        engine.offer(counted(to)).expect("migrates");
        assert_eq!((schema(&engine), total(&engine)), (to, 3), "{from} to {to}");
        assert_eq!(increment(&engine), 4);
    }
}

#[test]
fn sm_4_down_leads_back_to_what_it_was() {
    let engine = builder(&counted(2)).0.keep_versions(1).open().expect("opens");
    increment(&engine);
    let before = engine.states();
    engine.offer(counted(3)).expect("migrates");
    assert_ne!(engine.states()[0].json, before[0].json);
    engine.rollback().expect("migrates back");
    assert_eq!(engine.states()[0].json, before[0].json);
    assert_eq!(increment(&engine), 2);
    // And back once more, to a version that is loaded again.
    engine.offer(counted(5)).expect("migrates");
    engine.offer(counted(4)).expect("migrates");
    assert_eq!(increment(&engine), 3);
}

/// A random walk over all versions, with 8 threads counting: nothing is lost and nothing counted twice.
#[test]
fn c1_a_walk_over_five_schemas() {
    let engine = open(1);
    let counting = Counting::start(&engine, 8, "try_increment");
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..1_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let to = 1 + random % SCHEMAS;
        counting.burst();
        engine.offer(counted(to)).expect("migrates");
        assert_eq!(schema(&engine), to);
    }
    let calls = counting.stop();
    assert!(calls > 0);
    assert_eq!(total(&engine), calls);
}
