//! Axes: from figures to places, and where an axis is labelled. Pure.

/// From a range of figures to a range of places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Scale {
    /// Equal steps of figures are equally far apart.
    pub(super) fn linear(low: f64, high: f64, from: f64, to: f64) -> Scale {
        Scale {
            low,
            high: if high > low { high } else { low + 1.0 },
            from,
            to,
            logarithmic: false,
        }
    }

    /// Equal factors are equally far apart. `low` must be more than nothing.
    pub(super) fn logarithmic(low: f64, high: f64, from: f64, to: f64) -> Scale {
        assert!(low > 0.0, "{low} has no logarithm");
        Scale {
            low: low.log10(),
            high: if high > low {
                high.log10()
            } else {
                low.log10() + 1.0
            },
            from,
            to,
            logarithmic: true,
        }
    }

    /// The place of a figure; of one that is outside, the nearer end.
    pub(super) fn place(&self, figure: f64) -> f64 {
        let figure = match self.logarithmic {
            true if figure <= 0.0 => self.low,
            true => figure.log10(),
            false => figure,
        };
        let share = (figure.clamp(self.low, self.high) - self.low) / (self.high - self.low);
        self.from + share * (self.to - self.from)
    }

    /// Whether equal factors are equally far apart.
    pub(super) fn is_logarithmic(&self) -> bool {
        self.logarithmic
    }
}

/// The largest 1, 2 or 5 times a power of ten that is not above `figure`, which is more than nothing.
pub(super) fn round_down(figure: f64) -> f64 {
    let power = 10f64.powf(figure.log10().floor());
    // What a rounding error has put a little below a step is at that step.
    let steps = [10.0, 5.0, 2.0, 1.0].map(|step| step * power);
    let below = steps
        .into_iter()
        .find(|step| *step <= figure * (1.0 + 1e-9));
    below.unwrap_or(power)
}

/// The smallest 1, 2 or 5 times a power of ten that is not below `figure`, which is more than nothing.
pub(super) fn round_up(figure: f64) -> f64 {
    let power = 10f64.powf(figure.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    let above = steps
        .into_iter()
        .find(|step| *step >= figure * (1.0 - 1e-9));
    above.unwrap_or(10.0 * power)
}

/// Labels of a logarithmic axis: powers of ten, and two steps in between if there are few.
pub(super) fn decades(low: f64, high: f64) -> Vec<f64> {
    let steps: &[f64] = if high / low > 300.0 {
        &[1.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32;
    (first..=last)
        .flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)))
        .filter(|tick| (low * (1.0 - 1e-9)..=high * (1.0 + 1e-9)).contains(tick))
        .collect()
}

/// `0.05`, `20`, `10k`, `1M`: labels are round, so few digits say all.
pub(super) fn label(figure: f64) -> String {
    let (figure, unit) = match figure.abs() {
        size if size >= 1e6 => (figure / 1e6, "M"),
        size if size >= 1e3 => (figure / 1e3, "k"),
        _ => (figure, ""),
    };
    let text = format!("{figure:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_factors_are_equally_far_apart_and_nothing_leaves_the_axis() {
        let scale = Scale::logarithmic(1.0, 1000.0, 100.0, 400.0);
        assert_eq!(scale.place(1.0), 100.0);
        assert!((scale.place(10.0) - 200.0).abs() < 1e-9);
        assert!((scale.place(1000.0) - 400.0).abs() < 1e-9);
        for outside in [-5.0, 0.0, 0.5] {
            assert_eq!(scale.place(outside), 100.0);
        }
        assert_eq!(scale.place(1e6), 400.0);
        let upward = Scale::logarithmic(1.0, 100.0, 400.0, 0.0);
        assert_eq!(upward.place(10.0), 200.0);
    }

    #[test]
    fn equal_steps_are_equally_far_apart_where_that_is_asked_for() {
        let scale = Scale::linear(0.0, 4.0, 0.0, 100.0);
        assert_eq!(
            [1.0, 2.0, 9.0].map(|figure| scale.place(figure)),
            [25.0, 50.0, 100.0]
        );
    }

    #[test]
    fn an_axis_of_one_figure_is_still_an_axis() {
        let [linear, log] = [Scale::linear, Scale::logarithmic].map(|new| new(3.0, 3.0, 0.0, 10.0));
        assert_eq!((linear.place(3.0), log.place(3.0)), (0.0, 0.0));
    }

    #[test]
    fn figures_are_rounded_to_steps_of_one_two_five() {
        assert_eq!(
            [0.047, 1.0, 7.0, 5.0].map(round_down),
            [0.02, 1.0, 5.0, 5.0]
        );
        assert_eq!(
            [0.047, 1.0, 7.0, 23_093.0].map(round_up),
            [0.05, 1.0, 10.0, 50_000.0]
        );
    }

    #[test]
    fn a_short_axis_has_labels_between_its_powers() {
        assert_eq!(decades(0.5, 20.0), [0.5, 1.0, 2.0, 5.0, 10.0, 20.0]);
        assert_eq!(decades(1.0, 1000.0), [1.0, 10.0, 100.0, 1000.0]);
        let far = decades(100.0, 1e6);
        assert_eq!(far.len(), 5);
    }

    #[test]
    fn labels_are_short() {
        let labels = [0.05, 1.0, 20.0, 19_000.0, 1e6, 2.5].map(label);
        assert_eq!(labels, ["0.05", "1", "20", "19k", "1M", "2.5"]);
    }
}
