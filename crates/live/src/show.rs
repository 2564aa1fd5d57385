//! Looks on a terminal, until its user leaves.

use std::io;
use std::time::{Duration, Instant};

use crate::drawing::{Paint, draw};
use crate::look::Look;
use crate::screen::Screen;
use crate::view::{Action, View};
use crate::watch::Watch;

/// The time between two looks.
const INTERVAL: Duration = Duration::from_millis(250);

/// Who knows of the program and of this process what the file does not say.
pub trait Host {
    /// How the program ended, if it has. `told` is what its file says of that, or the
    /// system of the process that the file names.
    fn ending(&mut self, told: Option<String>) -> Option<String>;
    /// The user presses Ctrl-C. True if that was for the program, which may take a
    /// while; or else the view is left.
    fn interrupt(&mut self) -> bool;
    /// Is this process told to end?
    fn is_stopped(&self) -> bool;
}

/// Why a view was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Its user left, or the terminal did.
    Left,
    /// This process is to stop.
    Stopped,
}

/// Draws a look four times a second, and does what keys say. A program that has ended
/// goes on being shown until its user leaves, or this process is to stop.
///
/// # Errors
/// One line: the terminal cannot be had, or the file cannot be read any more. The
/// terminal has been given back.
pub fn show(watch: &mut Watch, host: &mut dyn Host, paint: Paint) -> Result<Shown, String> {
    let no_terminal = |error: io::Error| {
        let reason = wrasse_report::reason(&error);
        format!("cannot draw on this terminal: {reason}")
    };
    let mut screen = Screen::open().map_err(no_terminal)?;
    let mut view = View::default();
    let mut look = Look::default();
    let mut ended = None;
    loop {
        watch.read()?;
        if ended.is_none() {
            ended = host.ending(watch.ending());
            // It may have written more before it did.
            watch.read()?;
        }
        if host.is_stopped() {
            return Ok(Shown::Stopped);
        }
        if !view.is_paused {
            look = watch.look(view.order, ended.clone());
        }
        // A picture that stands still says all the same that the program has ended.
        look.ended.clone_from(&ended);
        let deadline = Instant::now() + INTERVAL;
        let mut order = view.order;
        loop {
            if screen
                .draw(|frame| draw(frame, &look, &view, paint))
                .is_err()
            {
                return Ok(Shown::Left);
            }
            let wait = deadline.saturating_duration_since(Instant::now());
            let key = match screen.key(wait) {
                Ok(key) => key,
                Err(_) => return Ok(Shown::Left),
            };
            match key.and_then(|key| view.press(key, look.lines.len())) {
                Some(Action::Leave) => return Ok(Shown::Left),
                Some(Action::Interrupt) if ended.is_some() || !host.interrupt() => {
                    return Ok(Shown::Left);
                }
                _ => {}
            }
            if view.order != order {
                // What is shown is put in order at once, also where it stands still.
                order = view.order;
                look = watch.look(order, ended.clone());
            }
            if Instant::now() >= deadline {
                break;
            }
        }
    }
}
