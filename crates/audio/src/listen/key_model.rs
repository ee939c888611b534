//! How each degree of a key's scale sounds: made by bench/sound_train.py, not by hand.

#![allow(clippy::approx_constant, reason = "numbers that were fitted")]

use super::key::Profile;

pub(super) const MAJOR: Profile = Profile {
    classes: [5.6781, -7.7940, 3.1411, -9.1272, 8.9774, 5.3516, -3.0275, 5.9548, -6.2140, -0.5841, -10.3427, 7.0581],
    bass: [8.1182, -1.6465, -0.7875, -4.2848, -1.9920, 1.9185, -2.6355, 5.2902, -2.7176, 2.1259, -8.1404, -2.1622],
    bias: -0.3793,
};
pub(super) const MINOR: Profile = Profile {
    classes: [5.5925, -11.8968, 4.8470, 11.4605, -5.5091, 0.3569, -1.8713, 5.4903, 6.5277, -9.9880, -2.3529, 3.0669],
    bass: [8.1733, -5.6307, -1.4606, -4.2296, -4.2935, -0.2954, -2.9354, 5.5209, -0.0856, -2.2992, -0.6438, -2.3539],
    bias: 0.3793,
};
