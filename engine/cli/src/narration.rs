//! What an engine's events are in words.

use std::error::Error;

use hotswap_engine::{
    BuildErrorKind, Diagnostics, Event, FetchErrorKind, ReloadError, ReloadErrorKind, ScanError,
    SwapReason,
};

use crate::failure::causes;
use crate::paint::Paint;
use crate::span;

/// What to print about an event; `None` when it is not worth a line.
pub(crate) fn tell(event: &Event, paint: Paint) -> Option<String> {
    match event {
        Event::Swapped { to, reason: SwapReason::RolledBack, publish_time, .. } => {
            let current = paint.good(&format!("{to} is current again"));
            Some(format!("{current}: rolled back in {}", span::readable(*publish_time)))
        }
        Event::Swapped { to, reason: SwapReason::LastGood, .. } => {
            let current = paint.good(&format!("{to} is current"));
            Some(format!("{current}: it served last; the source is waited for"))
        }
        Event::Swapped { to, build_time, publish_time, .. } => {
            let built = if build_time.is_zero() {
                String::new()
            } else {
                format!("built in {}, ", span::readable(*build_time))
            };
            let current = paint.good(&format!("{to} is current"));
            Some(format!("{current}: {built}swapped in {}", span::readable(*publish_time)))
        }
        Event::Refused { error } => {
            let told = refusal(error, paint);
            let consequence = match error.current {
                Some(version) => format!("{version} stays current"),
                None => "waiting for the repair".to_owned(),
            };
            let label = paint.bad("refused:");
            let diagnostics = blank_line_after(told.diagnostics);
            // Code to be pasted has lines of its own.
            let join = if told.reason.ends_with('\n') { "\n" } else { "; " };
            Some(format!("{diagnostics}{label} {}{join}{consequence}", told.reason))
        }
        Event::Unchanged { current } => {
            Some(format!("{current} stays current: the source is what it runs"))
        }
        Event::Unreadable { error } => {
            let causes = causes(Error::source(&**error));
            let label = paint.bad("unreadable:");
            Some(format!("{label} {error}; {}{causes}", what_is_waited_for(error)))
        }
        Event::Stale { error } => {
            let causes = causes(Error::source(&**error));
            let label = paint.bad("stale:");
            Some(format!("{label} {error}; what runs goes on{causes}"))
        }
        Event::Readable => Some("the source can be read again".to_owned()),
        Event::Draining { version, held_by } => {
            let holders: Vec<_> = held_by.iter().map(ToString::to_string).collect();
            let holders =
                if holders.is_empty() { "calls under way".to_owned() } else { holders.join(", ") };
            Some(format!("{version} is draining: held by {holders}"))
        }
        Event::Pinned { version } => {
            Some(format!("{version} stays in memory: the loader kept it after it was closed"))
        }
        Event::Crowded { crowd } => Some(crowd.to_string()),
        Event::Leaked { version, bytes } => {
            Some(format!("{version} left {bytes} bytes of heap memory behind"))
        }
        Event::HookFailed { version, hook, name, reason } => {
            Some(format!("{} {hook} {name} of {version} {reason}", paint.bad("hook failed:")))
        }
        Event::Paused => Some("swaps are paused".to_owned()),
        Event::Resumed => Some("swaps go on".to_owned()),
        Event::Frozen => Some("frozen: nothing changes what runs any more".to_owned()),
        Event::Overdue { version, held_by } => {
            let holders: Vec<_> = held_by.iter().map(ToString::to_string).collect();
            Some(format!("{version} is still in use: held by {}", holders.join(", ")))
        }
        Event::CallOverdue { function, thread, deadline, age, .. } => Some(format!(
            "{function} runs for {} on {thread}, past its deadline of {}",
            span::readable(*age),
            span::readable(*deadline)
        )),
        Event::Missed(count) => Some(format!("missed {count} events; hotswap.log has them all")),
        // The engine's enum may grow.
        _ => None,
    }
}

/// What ends it that a source cannot be read: what is not believed lies there, and will not come back.
fn what_is_waited_for(error: &ScanError) -> &'static str {
    match error.fetch_error() {
        Some(said) if said.kind == FetchErrorKind::Refused => {
            "it is asked again, and the next good one is taken"
        }
        _ => "waiting for it to come back",
    }
}

/// A refusal in two parts: what the compiler said, and the reason in one line and its causes.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) diagnostics: String,
    pub(crate) reason: String,
}

/// Why something was refused. The compiler's words keep their colours where colours are shown.
pub(crate) fn refusal(error: &ReloadError, paint: Paint) -> Refusal {
    let causes = causes(error.kind.source());
    let ReloadErrorKind::Build(build) = &error.kind else {
        return Refusal { diagnostics: String::new(), reason: format!("{}{causes}", error.kind) };
    };
    let name = &build.source_name;
    let said =
        build.diagnostics().map_or_else(String::new, |diagnostics| shown(diagnostics, paint));
    let reason = match &build.kind {
        BuildErrorKind::Failed { diagnostics } => match diagnostics.error_count {
            // Without a count the tool, not the compiler, said no; its words stand above.
            0 => format!("{name} does not build"),
            1 => format!("{name} does not build: 1 error"),
            count => format!("{name} does not build: {count} errors"),
        },
        kind => format!("{name} does not build: {kind}"),
    };
    Refusal { diagnostics: said, reason: format!("{reason}{causes}") }
}

fn shown(diagnostics: &Diagnostics, paint: Paint) -> String {
    match paint {
        Paint::Coloured => diagnostics.rendered.trim_end().to_owned(),
        Paint::Plain => diagnostics.plain().trim_end().to_owned(),
    }
}

/// Text that stands apart from what follows.
pub(crate) fn blank_line_after(text: String) -> String {
    if text.is_empty() { text } else { text + "\n\n" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    use hotswap_engine::FetchError;

    #[test]
    fn rare_events_are_one_line() {
        assert_eq!(tell(&Event::Paused, Paint::Plain).unwrap(), "swaps are paused");
        assert_eq!(
            tell(&Event::Missed(5), Paint::Plain).unwrap(),
            "missed 5 events; hotswap.log has them all"
        );
        assert!(tell(&Event::Stopped, Paint::Plain).is_none());
    }

    #[test]
    fn what_is_not_believed_will_not_come_back() {
        let of = |error| {
            let error = std::io::Error::other(error);
            let error = Arc::new(ScanError::new("site#greet", "site#greet", error));
            tell(&Event::Unreadable { error }, Paint::Plain).unwrap()
        };
        let refused = of(FetchError::refused("no"));
        assert!(refused.contains("site#greet; it is asked again, and the next good"), "{refused}");
        let absent = of(FetchError::unavailable("nobody answers"));
        assert!(absent.contains("site#greet; waiting for it to come back"), "{absent}");
    }

    #[test]
    fn a_swap_is_one_line() {
        // A version has no public constructor: linked code makes one.
        let engine = hotswap_engine::Engine::linked(linked::exports());
        let swapped = |build_time| Event::Swapped {
            from: None,
            to: engine.version(),
            reason: SwapReason::First,
            build_time,
            publish_time: Duration::from_micros(4),
        };
        let built = tell(&swapped(Duration::from_millis(160)), Paint::Plain).unwrap();
        assert_eq!(built, "v1 is current: built in 160 ms, swapped in 4 us");
        let prebuilt = tell(&swapped(Duration::ZERO), Paint::Plain).unwrap();
        assert_eq!(prebuilt, "v1 is current: swapped in 4 us");
        let coloured = tell(&swapped(Duration::ZERO), Paint::Coloured).unwrap();
        assert_eq!(coloured, "\u{1b}[32mv1 is current\u{1b}[0m: swapped in 4 us");
        let back = Event::Swapped {
            from: None,
            to: engine.version(),
            reason: SwapReason::RolledBack,
            build_time: Duration::from_millis(160),
            publish_time: Duration::from_micros(4),
        };
        let back = tell(&back, Paint::Plain).unwrap();
        assert_eq!(back, "v1 is current again: rolled back in 4 us");
        let draining = Event::Draining { version: engine.version(), held_by: vec![] };
        assert_eq!(
            tell(&draining, Paint::Plain).unwrap(),
            "v1 is draining: held by calls under way"
        );
    }

    /// A module in this program.
    mod linked {
        hotswap_module::module!();
    }
}
