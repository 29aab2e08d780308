"""Mathematics without models: linear algebra, derivatives, promotion, contours."""
