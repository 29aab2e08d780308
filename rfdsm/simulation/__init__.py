"""The simulation road: every error measured on real networks of finite size."""
