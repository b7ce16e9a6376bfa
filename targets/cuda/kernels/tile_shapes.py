"""The tiles among which conv_schedule.py chooses: rows, columns and depth, warps along rows and columns, and with wgmma
the stages."""

SHAPES = (
    (256, 128, 64, 4, 2),
    (128, 256, 64, 2, 4),
    (128, 128, 64, 2, 2),
    (128, 64, 64, 2, 2),
    (64, 128, 64, 2, 2),
    (64, 64, 64, 2, 2),
    (128, 32, 64, 4, 1),
    (128, 64, 32, 2, 2),
    (128, 32, 32, 4, 1),
    (64, 64, 128, 2, 2),
    (64, 32, 64, 2, 2),
    (64, 32, 128, 2, 2),
    (32, 64, 128, 2, 2),
    (32, 32, 128, 2, 2),
    (32, 32, 64, 2, 2),
    (128, 16, 64, 4, 1),
    (64, 16, 64, 4, 1),
)
# Shapes of wgmma come with stages: two blocks share a multiprocessor where sums leave room, else one has it all.
WGMMA_SHAPES = (
    (192, 256, 128, 12, 1, 4),
    (128, 256, 128, 8, 1, 4),
    (256, 128, 128, 8, 1, 4),
    (128, 192, 128, 8, 1, 4),
    (128, 128, 128, 8, 1, 3),
    (128, 256, 64, 8, 1, 6),
    (256, 128, 64, 8, 1, 6),
    (128, 128, 64, 8, 1, 6),
    (256, 64, 64, 8, 1, 5),
    (128, 64, 128, 8, 1, 4),
    (128, 64, 64, 8, 1, 6),
    (64, 256, 128, 4, 2, 4),
    (64, 128, 128, 4, 1, 4),
    (64, 64, 128, 4, 1, 4),
    (64, 64, 64, 4, 1, 6),
)
# Two warpgroups take turns with these: a multiprocessor holds one block, the sums of two tiles and what both stage.
TURN_SHAPES = (
    (128, 192, 128, 4, 1, 4),
    (128, 128, 128, 4, 1, 5),
    (64, 256, 128, 4, 1, 4),
    (128, 128, 64, 4, 1, 6),
    (128, 64, 128, 4, 1, 6),
)
