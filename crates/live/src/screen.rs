//! The terminal while the view has it: keys one by one, and a page of its own that
//! leaves what was there before as it was.

use std::io::{self, Stdout, stdout};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event, KeyEvent};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};

/// Does a screen have the terminal?
static IS_OPEN: AtomicBool = AtomicBool::new(false);
static WATCH_PANICS: Once = Once::new();

/// The terminal. It is given back when this goes.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Is standard output's terminal one that has room to draw on?
    #[must_use]
    pub fn has_room() -> bool {
        let is_dumb = std::env::var_os("TERM").is_none_or(|name| name == "dumb" || name.is_empty());
        !is_dumb && size().is_ok_and(|(width, height)| width > 0 && height > 0)
    }

    /// Take the terminal of standard output.
    ///
    /// # Errors
    /// It cannot be had.
    pub fn open() -> io::Result<Self> {
        WATCH_PANICS.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |information| {
                give_back();
                before(information);
            }));
        });
        enable_raw_mode()?;
        IS_OPEN.store(true, Ordering::Relaxed);
        let open = || {
            execute!(stdout(), EnterAlternateScreen, Hide)?;
            Terminal::new(CrosstermBackend::new(stdout()))
        };
        match open() {
            Ok(terminal) => Ok(Screen { terminal }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Draw.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(picture).map(|_| ())
    }

    /// The next key, if one comes within `wait`. Nothing too if the size has changed.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn key(&mut self, wait: Duration) -> io::Result<Option<KeyEvent>> {
        if !event::poll(wait)? {
            return Ok(None);
        }
        match event::read()? {
            Event::Key(key) => Ok(Some(key)),
            _ => Ok(None),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Puts the terminal back as it was, if a screen has it.
fn give_back() {
    if IS_OPEN.swap(false, Ordering::Relaxed) {
        // If the terminal is gone there is nothing to put back.
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}
