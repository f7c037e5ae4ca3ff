"""Onboard visual geo-localization of drones: a camera frame in, an honest geographic fix out."""
