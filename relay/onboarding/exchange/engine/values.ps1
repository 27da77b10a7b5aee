function New-Told {
    # What became of a step.
    param([string] $Result, [string] $Detail)
    return [pscustomobject] @{ Result = $Result; Detail = $Detail }
}

function Hide-Secret {
    # A text without loop values: errors may repeat what they were given.
    param([string] $Text)
    foreach ($secret in $Secrets) { $Text = $Text.Replace($secret, '***') }
    return $Text
}

function Invoke-Change {
    # Runs a cmdlet that changes something, unless -WhatIf is given; whether it was run.
    param([string] $What, [string] $Command, [hashtable] $With)
    if (-not $Shell.ShouldProcess($What, $Command)) { return $false }
    & $Command @With -ErrorAction Stop | Out-Null
    return $true
}

function Get-Done {
    # How a change is told.
    param([bool] $Ran, [string] $Detail)
    if ($Ran) { return New-Told 'done' $Detail }
    return New-Told 'would' $Detail
}

function Get-Text {
    # The texts in what Exchange gives: a list, one value, or nothing. An address space reads smtp:*;1.
    param($Value)
    foreach ($item in @($Value)) {
        $text = "$item".Trim()
        if ($text -ne '') { $text -replace '^smtp:(.+);\d+$', '$1' }
    }
}

function Get-Bytes {
    # 40960000 of "39.06 MB (40,960,000 bytes)".
    param([string] $Text)
    if ($Text -match '\((.+) bytes\)') { return $Matches[1] -replace '\D', '' }
    return $Text
}

function Test-List {
    # Whether a list has these items and no others.
    param($Found, $Wanted, [bool] $Exact)
    if (@($Found).Count -ne @($Wanted).Count) { return $false }
    foreach ($item in $Wanted) {
        if ($Exact -and $Found -cnotcontains $item) { return $false }
        if ($Found -notcontains $item) { return $false }
    }
    return $true
}

function Get-Ranges {
    # Addresses from which mail comes back: the wanted ones, and those of before until no mail comes from them any more.
    param($Object, $Property)
    $Property.Value
    if ($Known['Settled'] -or $null -eq $Object) { return }
    $name = $Property.Name
    foreach ($item in @(Get-Text $Object.$name)) {
        if ($Property.Value -notcontains $item) {
            $Known['Kept'] = 'kept'
            $item
        }
    }
}

function Test-Property {
    # Whether a property of an object is as it should be.
    param($Object, $Property)
    $name = $Property.Name
    $items = @(Get-Text $Object.$name)
    $text = $items -join ', '
    switch ($Property.Form) {
        'empty' { return $items.Count -eq 0 }
        'list' { return Test-List $items $Property.Value $false }
        'ranges' { return Test-List $items @(Get-Ranges $Object $Property) $false }
        'exact' { return Test-List $items $Property.Value $true }
        'secrets' { return Test-List $items $Property.Value $true }
        'secret' { return $Property.Value -ccontains $text }
        'size' { return (Get-Bytes $text) -eq $Property.Bytes }
        default { return $text -eq "$($Property.Value)" }
    }
}

function Get-Differing {
    # The names of the properties that are not as they should be.
    param($Object, $Properties)
    foreach ($property in $Properties) {
        if (-not (Test-Property $Object $property)) { $property.Name }
    }
}

function Get-Wanted {
    # The parameters that make an object as it should be. A loop value that is set and valid stays: see -Rotate.
    param($Step, $Object)
    $with = @{}
    foreach ($property in $Step.Properties) {
        $name = $property.Name
        $value = $property.Value
        if ($property.Form -eq 'empty') {
            if ($null -eq $Object) { continue }
            $value = $null
        }
        if ($property.Form -eq 'ranges') { $value = @(Get-Ranges $Object $property) }
        if ($property.Form -eq 'secret') {
            $value = $property.Value[0]
            if ($null -ne $Object -and (Test-Property $Object $property)) { $value = "$($Object.$name)" }
        }
        $with[$name] = $value
    }
    return $with
}

function Get-All {
    # All objects of a step's kind. One that is asked for by name and is not there may give all: ours is picked here.
    param($Step)
    $reads = @(@{})
    if ($Step.Reads) { $reads = $Step.Reads }
    foreach ($with in $reads) { & "Get-$($Step.Noun)" @with -ErrorAction Stop }
}

function Select-Named {
    # The object of that name, or nothing.
    param($Objects, [string] $Name)
    foreach ($one in $Objects) {
        if ("$($one.Name)" -eq $Name) { return $one }
    }
}
