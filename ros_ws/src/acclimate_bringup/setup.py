from pathlib import Path

from setuptools import find_packages, setup

NAME = "acclimate_bringup"

setup(
    name=NAME,
    version="0.1.0",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["config/*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/config", [str(p) for p in sorted(Path(NAME, "config").glob("*.yaml"))]),
        (f"share/{NAME}/launch", [str(p) for p in sorted(Path("launch").glob("*.launch.py"))]),
    ],
    zip_safe=False,
    maintainer="Acclimate maintainers",
    maintainer_email="maintainers@acclimate.dev",
    description="Starts the nodes together: parameters per robot, launch files, a process runner.",
    license="Apache-2.0",
)
