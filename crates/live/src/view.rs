//! What the user of a view has chosen, and what keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::look::Order;

/// Lines that a page key goes.
const PAGE: usize = 10;

/// What the user wants done that is not the view's own matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Leave the view.
    Leave,
    /// Ctrl-C.
    Interrupt,
}

/// What is shown, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// What comes first among lines.
    pub order: Order,
    /// The line that is looked at, counted from the first.
    pub selected: usize,
    /// Does the picture stand still?
    pub is_paused: bool,
    /// Is the help shown in its place?
    pub shows_help: bool,
    /// Is only the last minute drawn, not the whole run?
    pub is_recent: bool,
}

impl View {
    /// A key, of which there are `lines` lines to choose from.
    pub fn press(&mut self, key: KeyEvent, lines: usize) -> Option<Action> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if is_control {
            return match key.code {
                KeyCode::Char('c') => Some(Action::Interrupt),
                _ => None,
            };
        }
        let last = lines.saturating_sub(1);
        match key.code {
            KeyCode::Esc if self.shows_help => self.shows_help = false,
            KeyCode::Char('q') | KeyCode::Esc => return Some(Action::Leave),
            KeyCode::Char('?' | 'h') => self.shows_help = !self.shows_help,
            KeyCode::Down | KeyCode::Char('j') => self.selected = (self.selected + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => {
                self.selected = self.selected.min(last).saturating_sub(1);
            }
            KeyCode::PageDown => self.selected = (self.selected + PAGE).min(last),
            KeyCode::PageUp => self.selected = self.selected.min(last).saturating_sub(PAGE),
            KeyCode::Home | KeyCode::Char('g') => self.selected = 0,
            KeyCode::End | KeyCode::Char('G') => self.selected = last,
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('w') => self.is_recent = !self.is_recent,
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(view: &mut View, keys: &str, lines: usize) -> Option<Action> {
        let code = |key| match key {
            '^' => KeyCode::Up,
            'v' => KeyCode::Down,
            other => KeyCode::Char(other),
        };
        let press = |key| view.press(KeyEvent::new(code(key), KeyModifiers::NONE), lines);
        keys.chars().map(press).last().flatten()
    }

    #[test]
    fn the_selection_stays_among_the_lines() {
        let mut view = View::default();
        press(&mut view, "vvvjjj", 4);
        assert_eq!(view.selected, 3);
        press(&mut view, "^k", 4);
        assert_eq!(view.selected, 1);
        press(&mut view, "G", 9);
        // There are fewer lines now.
        press(&mut view, "k", 3);
        assert_eq!(view.selected, 1);
        press(&mut view, "jG", 0);
        assert_eq!(view.selected, 0);
    }

    #[test]
    fn keys_do_what_the_help_says() {
        let mut view = View::default();
        assert_eq!(press(&mut view, "s", 0), None);
        assert_eq!(view.order, Order::Change);
        press(&mut view, "ss", 0);
        assert_eq!(view.order, Order::Live);
        press(&mut view, "p?w", 0);
        assert!(view.is_paused && view.shows_help && view.is_recent);
        let escape = KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE);
        assert_eq!(view.press(escape, 0), None);
        assert_eq!(view.press(escape, 0), Some(Action::Leave));
        assert_eq!(press(&mut view, "q", 0), Some(Action::Leave));
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.press(interrupt, 0), Some(Action::Interrupt));
    }
}
