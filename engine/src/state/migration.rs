//! Runs the steps of a plan on a copy of a value.

use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use hotswap_module::__private::{Bytes, Packed1, Shim, StepRequest};

use super::cell::{Cell, CellOwner, Content};
use super::kinds::{StateKind, shape};
use super::plan::{Plan, Whose};
use super::value::{Resting, Value, decode, find, resting_of, told};

/// One value to be brought to another form.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: String,
    /// As bytes, with JSON where the first step wants it.
    pub(crate) value: Resting,
    pub(crate) wanted: StateKind,
    pub(crate) plan: Plan,
    pub(crate) owner: Option<Weak<dyn CellOwner>>,
}

/// What came of a job.
#[derive(Debug)]
pub(crate) struct Migrated {
    /// A cell with the new value, which nobody knows of yet.
    pub(crate) cell: Arc<Cell>,
    /// Fields that it does not have any more.
    pub(crate) dropped: Vec<String>,
    /// Bytes that were read.
    pub(crate) bytes: usize,
}

/// Which step failed, and why.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    /// From and to which version; `None` for what comes before and after the steps.
    pub(crate) step: Option<(u16, u16)>,
    pub(crate) message: String,
}

/// Does a job: runs its steps, makes the value, and has it checked. Stops between steps when it is abandoned.
///
/// The versions whose code it runs are held by who calls it.
pub(crate) fn migrate(job: &Job, is_abandoned: &Arc<AtomicBool>) -> Result<Migrated, Failed> {
    let failed = |step| move |message| Failed { step, message };
    let Job { value, wanted, plan, .. } = job;
    let mut value = value.clone();
    let bytes = value.bytes.len();
    let mut dropped = Vec::new();
    let mut made = None;
    for (index, leg) in plan.legs.iter().enumerate() {
        if is_abandoned.load(Ordering::Relaxed) {
            return Err(failed(None)("it took too long".to_owned()));
        }
        let step = &leg.step;
        let versions = Some((step.from, step.to));
        let input = match step.reads_json() {
            false => &value.bytes,
            true if value.json.is_empty() => {
                let message = "a derived step needs the old value as JSON, which cannot carry all of it; write the step by hand";
                return Err(failed(versions)(message.to_owned()));
            }
            true => &value.json,
        };
        let is_last = index + 1 == plan.legs.len() && leg.whose == Whose::Newcomer;
        if is_last && leg.lands.is_none() {
            let written = Value::make(wanted.form.layout, |room| {
                let request = StepRequest {
                    bytes: Bytes::new(input),
                    value: room,
                    out: ptr::null_mut(),
                    wants_json: false,
                    dropped: &raw mut dropped,
                };
                // SAFETY: the step is of a held version, and its result is the wanted form: there is room for it.
                unsafe { take(step.shim, request) }
            });
            made = Some(written.map_err(failed(versions))?);
        } else {
            let next = plan.legs.get(index + 1);
            let mut out = [Vec::new(), Vec::new()];
            let request = StepRequest {
                bytes: Bytes::new(input),
                value: ptr::null_mut(),
                out: &raw mut out,
                wants_json: next.is_some_and(|leg| leg.step.reads_json()),
                dropped: &raw mut dropped,
            };
            // SAFETY: the step is of a held version; both vectors are ours.
            unsafe { take(step.shim, request) }.map_err(failed(versions))?;
            let [bytes, json] = out;
            value = Resting { bytes, json };
            if let Some(kind) = &leg.lands {
                let wants_json = next.is_some_and(|leg| leg.step.reads_json());
                value = landed(kind, &value.json, wants_json).map_err(failed(versions))?;
                dropped.extend(step.dropped(&shape(&kind.form.text)));
            }
        }
    }
    let made = match made {
        Some(made) => made,
        None => decode(wanted.shim, wanted.form.layout, &value.bytes).map_err(failed(None))?,
    };
    let (form, owner) = (wanted.form.clone(), job.owner.clone());
    let mut cell = Cell::new(&wanted.schema, &job.name, form, Content::Live(made), owner);
    if let Err(message) = cell.check(wanted.shim) {
        // The value was made by this code, and nobody else knows of it.
        cell.let_go(wanted.shim, false);
        return Err(failed(None)(format!("its check says: {message}")));
    }
    Ok(Migrated { cell: Arc::new(cell), dropped, bytes })
}

/// A value that fields become, as bytes.
fn landed(kind: &StateKind, json: &[u8], wants_json: bool) -> Result<Resting, String> {
    let value = find(kind.shim, kind.form.layout, json)?;
    // SAFETY: 1. the type is of a version that is held by who runs the job. 2. the value was just made.
    let resting = unsafe { resting_of(kind.shim, value.as_ptr(), wants_json) };
    // SAFETY: 1. as above. 2. as above; it is dropped once.
    unsafe { value.end(kind.shim) };
    resting
}

/// Runs one step.
///
/// # Safety
///
/// 1. The shim is that of a step, and stays mapped until this returns.
/// 2. The request keeps the contract of `hotswap_module::__private::step`.
unsafe fn take(shim: Shim, request: StepRequest) -> Result<(), String> {
    let mut packed = ManuallyDrop::new(Packed1(request));
    // SAFETY: both parts of the contract; the result is dropped, an `Err` of it told.
    told(unsafe { shim((&raw mut packed).cast(), ptr::null_mut()) })
}
